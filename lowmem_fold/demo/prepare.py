"""Make the training data from Debian's promod3-data.

    apt-get download promod3-data     # or from https://packages.debian.org/promod3-data; 371 MB, version 3.2.1
    apt-get install mmseqs2           # or from https://mmseqs.com
    python -m lowmem_fold.demo.prepare promod3-data_*.deb --held-out benchmarks/data/*.fasta --out chains_20_256.npz

Takes the chains of 20 to 256 residues, clusters them at 30 % identity with MMseqs2, leaves out the clusters that the
held-out sequences fall into, and sets 300 clusters aside for validation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..sequences import read_fasta
from .structure_database import StructureDatabase, read_database

__all__ = ["cluster", "main", "select", "write_chains"]

SHORTEST, LONGEST = 20, 256
LONGEST_CLUSTERED = 300
"""Somewhat longer chains take part in the clustering, so that a cluster is not named by the longest that fits."""
VALIDATION_CLUSTERS = 300


def cluster(sequences: Mapping[str, str]) -> dict[str, str]:
    """The representative of each sequence's cluster: MMseqs2, 30 % identity over 80 % of both sequences.

    Raises
    ------
    InputError
        MMseqs2 is not installed, or fails.
    """
    program = shutil.which("mmseqs")
    if program is None:
        raise InputError("the program mmseqs is not installed: see https://mmseqs.com, or `apt-get install mmseqs2`")
    with tempfile.TemporaryDirectory() as folder:
        fasta, result = Path(folder) / "all.fasta", Path(folder) / "result"
        fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
        options = ["--min-seq-id", "0.3", "-c", "0.8", "-v", "1"]
        run = subprocess.run([program, "easy-cluster", fasta, result, Path(folder) / "work", *options])
        if run.returncode:
            raise InputError(f"mmseqs easy-cluster failed with exit code {run.returncode}")
        pairs = (line.split("\t") for line in Path(f"{result}_cluster.tsv").read_text().splitlines())
        return {member: representative for representative, member in pairs}


def select(database: StructureDatabase, held_out: Sequence[str]) -> tuple[list[int], list[str]]:
    """The chains to train on and each one's cluster: none that shares a cluster with a held-out sequence."""
    names = {
        chain: f"{database.ids[chain]}_{database.starts[chain]}"
        for chain in range(len(database))
        if SHORTEST <= database.lengths[chain] <= LONGEST_CLUSTERED
    }
    sequences = {name: database.sequence(chain).decode("ascii") for chain, name in names.items()}
    clusters = cluster(sequences)
    outside = {f"held-out-{number}": sequence for number, sequence in enumerate(held_out)}
    together = cluster({**sequences, **outside})
    touched = {together[name] for name in outside}
    touched |= {together[name] for name, sequence in sequences.items() if sequence in held_out}
    chosen = [
        chain for chain, name in names.items() if database.lengths[chain] <= LONGEST and together[name] not in touched
    ]
    chosen.sort(key=lambda chain: database.ids[chain])
    return chosen, [clusters[names[chain]] for chain in chosen]


def write_chains(path: str | Path, database: StructureDatabase, chosen: Sequence[int], clusters: Sequence[str]) -> None:
    """Write the training file, whole or not at all.

    Its arrays: `ids`, `lengths`, `cluster`, `split` ("train" or "val", by cluster) per chain; `sequences` (letters) and
    `deltas` (int16, (residues, 3, 3), 0.01 Angstrom) of all chains in a row: N and C relative to their CA, and CA
    relative to the CA before it (zero at a chain's start).
    """
    path = Path(path)
    names = sorted(set(clusters))
    aside = np.random.default_rng(0).choice(len(names), min(VALIDATION_CLUSTERS, len(names) // 10), replace=False)
    validation = {names[i] for i in aside}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez_compressed(
        temporary,
        ids=np.array([database.ids[chain] for chain in chosen]),
        lengths=np.array([database.lengths[chain] for chain in chosen], dtype=np.int32),
        cluster=np.array(clusters),
        split=np.array(["val" if name in validation else "train" for name in clusters]),
        sequences=np.frombuffer(b"".join(database.sequence(chain) for chain in chosen), dtype=np.uint8),
        deltas=np.concatenate([_deltas(database.atoms(chain)) for chain in chosen]),
    )
    os.replace(temporary, path)


def _deltas(atoms: np.ndarray) -> np.ndarray:
    n, ca, c = (atoms[:, i].astype(np.int32) for i in range(3))
    return np.stack([n - ca, np.diff(ca, axis=0, prepend=ca[:1]), c - ca], axis=1).astype(np.int16)


def main(arguments: list[str] | None = None) -> None:
    """Prepare the data from the command line."""
    summary, details = (__doc__ or "").split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database", type=Path, help="promod3-data_*.deb, or structure_db.dat out of it")
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="FASTA files never to train near")
    parser.add_argument("--out", type=Path, default=Path("chains_20_256.npz"), help="(%(default)s)")
    options = parser.parse_args(arguments)
    held_out = [chain for path in options.held_out for record in read_fasta(path) for chain in record.chains]
    database = read_database(options.database)
    chosen, clusters = select(database, held_out)
    write_chains(options.out, database, chosen, clusters)
    print(f"{options.out}: {len(chosen)} chains of {len(set(clusters))} clusters")


if __name__ == "__main__":
    main()
