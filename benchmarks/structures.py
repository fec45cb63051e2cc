"""Structures to be drawn: one chain of the demo, folded by the demo model in fp32 and in int8.

`python -m benchmarks.structures` writes `results/structures/PRECISION.pdb`, and a record of each into
`results/structures.jsonl`; `python -m plots.make` draws them. To be run again when the demo model has changed: a test
says so.
"""

from __future__ import annotations

from pathlib import Path

from lowmem_fold import load
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement
from lowmem_fold.sequences.fasta import read_fasta
from lowmem_fold.system.files import write_text_atomic

from .demo import DATA, NUM_RECYCLES, record

__all__ = ["CHAIN", "FOLDER", "PRECISIONS", "RESULTS", "main"]

CHAIN = "1mr1D"
PRECISIONS = ("fp32", "int8")
RESULTS = Path(__file__).parent / "results" / "structures.jsonl"
FOLDER = Path(__file__).parent / "results" / "structures"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    record(RESULTS, [_folded(precision) for precision in PRECISIONS])


def _folded(precision: str) -> Measurement:
    """Fold the chain and write its file."""
    (chain,) = (each for each in read_fasta(DATA / "demo.fasta") if each.id == CHAIN)
    folder = load("demo", precision=precision, device="cpu")
    prediction = folder.fold(chain, num_recycles=NUM_RECYCLES)
    path = write_text_atomic(FOLDER / f"{precision}.pdb", prediction.to_pdb())
    described = {name: value for name, value in folder.describe().items() if name != "source"}
    return Measurement(
        "structures",
        {"structure": CHAIN, "precision": precision, "num_recycles": NUM_RECYCLES},
        {"model": described, "file": path.name},
        describe_environment(),
        {"mean_plddt": [prediction.mean_plddt], "ptm": [prediction.ptm]},
    )


if __name__ == "__main__":
    main()
