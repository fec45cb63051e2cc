"""What real chains have of that by which predictions are judged: `python -m benchmarks.plausibility FILE`.

FILE holds backbones of experiments, which `python -m benchmarks.training.prepare` writes. The chains of `data/ts50` are
measured beside them, by `lowmem_fold.predictions.plausibility`. Each source gives a record in
`results/plausibility.jsonl`: a sample for each chain, with the distance of the nearest two CA atoms that are not
neighbours'. It ends with 1 where a chain is found that could not be true.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.predictions.plausibility import measure_chains
from lowmem_fold.predictions.structures import Structure, read_backbones, read_pdb_folder
from lowmem_fold.sequences.residues import ATOM_ORDER

__all__ = ["RESULTS", "main", "measure"]

DATA = Path(__file__).parent / "data" / "ts50"
RESULTS = Path(__file__).parent / "results" / "plausibility.jsonl"
_SHOWN = {"broken": max, "clashing": max, "nearest_angstrom": min, "compactness_angstrom": min, "rise_angstrom": max}


def measure(source: str, structures: Iterable[Structure]) -> Measurement:
    """Measure the chains of a source, in its order."""
    samples: dict[str, list[float]] = {"length": [], **{name: [] for name in _SHOWN}}
    alarms = []
    for structure in structures:
        exists = structure.atom_mask[:, ATOM_ORDER["CA"]]
        (chain,) = measure_chains(structure.ca, exists, [structure.sequence])
        samples["length"].append(chain.length)
        samples["broken"].append(round(chain.broken, 4))
        samples["clashing"].append(round(chain.clashing, 4))
        samples["nearest_angstrom"].append(round(_nearest(structure.ca[exists]), 2))
        samples["compactness_angstrom"].append(round(chain.compactness, 3))
        samples["rise_angstrom"].append(round(chain.rise, 3))
        alarms += [f"{structure.id}: {reason}" for reason in chain.problems("A")]
    resolved = {"chains": len(samples["length"]), "alarms": alarms}
    return Measurement("plausibility", {"source": source}, resolved, describe_environment(), samples)


def _nearest(ca: np.ndarray) -> float:
    """Angstrom between the nearest two that do not follow each other."""
    first, second = np.triu_indices(len(ca), 2)
    return float(np.linalg.norm(ca[first] - ca[second], axis=-1).min())


def main() -> int:
    """Measure, record, and print the extremes."""
    parser = argparse.ArgumentParser("python -m benchmarks.plausibility", description=__doc__)
    parser.add_argument("file", metavar="FILE", type=Path, help="backbones, .npz")
    file = parser.parse_args().file
    alarms = 0
    for source, structures in ((file.name, read_backbones(file)), (DATA.name, read_pdb_folder(DATA))):
        found = measure(source, structures)
        append_measurement(RESULTS, found)
        extremes = ", ".join(f"{name} {extreme(found.samples[name])}" for name, extreme in _SHOWN.items())
        print(f"{source}: {found.resolved['chains']} chains: {extremes}", *found.resolved["alarms"], sep="\n")
        alarms += len(found.resolved["alarms"])
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
