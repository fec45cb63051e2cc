"""Write the chains that come with the package, from the structures in `data/`: `python -m benchmarks.chains`"""

from __future__ import annotations

from pathlib import Path

from lowmem_fold.bench.chains import CHAINS
from lowmem_fold.predictions.structures import Structure, read_backbones, read_pdb, write_structures

DATA = Path(__file__).parent / "data"
FULL_ATOM = ("3a4rA", "2gu3A", "1h4aX")


def structures() -> list[Structure]:
    """Those chains, the shortest first."""
    found = [read_pdb(DATA / "ts50" / f"{name}.pdb.gz") for name in FULL_ATOM]
    return sorted([*found, *read_backbones(DATA / "ca2_5Y2S_A.npz")], key=lambda structure: structure.length)


if __name__ == "__main__":
    write_structures(CHAINS, structures())
