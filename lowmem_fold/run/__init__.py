"""The parts of a run over many records, from its options to its progress. ``folding.py`` puts them to work.

What stands in an output folder:

``config.json``
    Written first: ``settings``, which decide the numbers (fingerprint of the model, precision, recycles, recycle
    tolerance, linker, version), and apart from them options that do not, the device and versions. A later run with
    other settings is refused; with ``--overwrite`` it is taken if it folds everything in the folder again.
``<id>.pdb``, ``<id>.cif``, ``<id>.pae.json``
    As asked for.
``<id>.scores.json``
    Moved into place after those: the mark by which a record is finished. A record is folded again if the mark, or a
    file that the run asks for, is missing.
``scores.jsonl``
    One line for each record: its scores without the lists per residue, ``status`` (``ok``; ``suspect``: written, but it
    cannot be true; ``failed``: not folded), ``reason``, seconds, peak memory; ``placement``, ``chunk_size``,
    ``attempts``, and ``precision`` if memory was too short for the one asked for. Mended at the start of a run from the
    marks, so that a kill leaves neither a torn line nor two for one record. Failed records are tried again.
``lowmem_fold.log``
    Times and tracebacks of all runs.

While a run lasts there are ``.lowmem_fold.lock``; ``.lowmem_fold.partial``, where files are made before they are moved;
and ``.lowmem_fold.stem``, what the stem has made of records whose trunk is still to run. A killed run leaves them; the
next uses the last and removes all. A folder with files of others is taken as long as none of them would be overwritten.
"""
