"""The parts of a run over many records, from its options to its progress. ``folding.py`` puts them to work.

What stands in an output folder:

``config.json``
    Written first: ``settings``, which decide the numbers (fingerprint of the model, precision, recycles, recycle
    tolerance, linker, version), and apart from them options that do not, the device and versions. A later run with
    other settings is refused; with ``--overwrite`` it is taken if it folds everything in the folder again. One that is
    lost or damaged is written anew with ``--adopt``, if all marks state the hash of the settings given now.
``<id>.pdb``, ``<id>.cif``, ``<id>.pae.json``
    As asked for; a mmCIF in the place of a PDB whose columns do not hold the coordinates.
``<id>.scores.json``
    Moved into place after those: the mark by which a record is finished. It states under ``files`` the size and the
    SHA-256 of each. A record is folded again if the mark, or a file that the run asks for, is missing or is not what
    was written. Marks of before state no files: those count if they end as their format does and hold no NUL.
``scores.jsonl``
    One line for each record: its scores without the lists per residue, ``status`` (``ok``; ``suspect``: written, but it
    cannot be true; ``incomplete``: written without the PDB that was asked for, which ``left_out`` says too; ``failed``:
    not folded), ``reason``, seconds, peak memory; ``placement``, ``chunk_size``, ``attempts``, and ``precision`` if
    memory was too short for the one asked for. Repaired at the start of a run from the marks, so that a kill leaves
    neither a torn line nor two for one record; at the end in the order of the input, lines of other records last.
    Failed records are tried again.
``scores.csv``
    The same lines as a table (`csv_table`), written whole: at the start of a run, once a minute, and at its end, also
    where that is an error or a stop.
``lowmem_fold.log``
    Times and tracebacks of all runs.

While a run lasts there are ``.lowmem_fold.lock``; ``.lowmem_fold.partial``, where files are made before they are moved;
and ``.lowmem_fold.stem``, what the stem has made of records whose trunk is still to run. A killed run leaves them; the
next uses the last and removes all. A folder with files of others is taken as long as none of them would be overwritten.

None of the names above may be a link: a run would write into what it points to. The lock is looked at before each
result is written. Where it does not stand at its place any more, the folder was removed or replaced, and the run ends;
no folder is made after the start.
"""
