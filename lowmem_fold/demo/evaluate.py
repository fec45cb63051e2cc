"""Held-out accuracy: `python -m lowmem_fold.demo.evaluate benchmarks/data/ts50 [--record results.jsonl]`.

Folds every chain of a folder of PDB files and compares with the known structure: TM-score, lDDT-CA, and how well the
predicted pLDDT follows the measured lDDT-CA.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from ..bench.structures import Structure, read_pdb_folder
from ..metrics import lddt_per_residue, tm_score
from ..prediction import Prediction
from ..residues import ATOM_ORDER

__all__ = ["compare", "main", "summary"]

_CA = ATOM_ORDER["CA"]


def compare(structures: Iterable[Structure], fold: Callable[[str], Prediction]) -> dict[str, list[float]]:
    """Fold each structure's sequence and score it.

    Returns
    -------
    dict of str to list of float
        Per protein ``tm_score``, ``lddt_ca`` (0 to 1), ``mean_plddt`` (0 to 100), ``ptm``; per residue of all proteins
        in a row ``residue_lddt_ca`` and ``residue_plddt``.
    """
    samples: dict[str, list[float]] = {}
    for structure in structures:
        for name, values in _scores(structure, fold(structure.sequence)).items():
            samples.setdefault(name, []).extend(round(float(value), 4) for value in values)
    return samples


def _scores(structure: Structure, prediction: Prediction) -> dict[str, Iterable[float]]:
    only_ca = slice(_CA, _CA + 1)
    seen = structure.atom_mask[:, only_ca]
    measured = lddt_per_residue(prediction.positions[:, only_ca], structure.positions[:, only_ca], seen)
    return {
        "tm_score": [tm_score(prediction.positions[:, _CA], structure.ca)],
        "lddt_ca": [float(measured.mean())],
        "mean_plddt": [float(prediction.plddt.mean())],
        "ptm": [prediction.ptm],
        "residue_lddt_ca": measured,
        "residue_plddt": prediction.plddt,
    }


def summary(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """Means over the proteins, and the correlations of predicted with measured lDDT-CA by residue and by protein."""
    return {
        "proteins": len(samples["tm_score"]),
        "mean_tm_score": float(np.mean(samples["tm_score"])),
        "mean_lddt_ca": float(np.mean(samples["lddt_ca"])),
        "mean_plddt": float(np.mean(samples["mean_plddt"])),
        "pearson_residues": _pearson(samples["residue_plddt"], samples["residue_lddt_ca"]),
        "pearson_proteins": _pearson(samples["mean_plddt"], samples["lddt_ca"]),
        "pearson_ptm": _pearson(samples["ptm"], samples["tm_score"]),
    }


def _pearson(x: list[float], y: list[float]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _record(path: Path, options: argparse.Namespace, model: dict, ids: list[str], samples: dict) -> None:
    from ..bench.environment import describe_environment
    from ..bench.records import Measurement, append_measurement

    requested = {"model": options.model, "num_recycles": options.num_recycles, "device": options.device}
    where_it_lay = ("source",)  # means nothing on another machine; the fingerprint says which model it was
    resolved = {"model": {name: value for name, value in model.items() if name not in where_it_lay}, "chains": ids}
    append_measurement(path, Measurement("demo-accuracy", requested, resolved, describe_environment(), samples))


def main(arguments: list[str] | None = None) -> None:
    """Evaluate from the command line: a line per protein, then the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("structures", type=Path, help="folder of PDB files")
    parser.add_argument("--model", default="demo", help="as of lowmem-fold fold (%(default)s)")
    parser.add_argument("--num-recycles", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--device", default="auto", help="(%(default)s)")
    parser.add_argument("--record", type=Path, help="append the measurement to this file")
    options = parser.parse_args(arguments)

    from ..folder import load

    structures = read_pdb_folder(options.structures)
    folder = load(options.model, device=options.device)
    samples = compare(structures, lambda sequence: folder.fold(sequence, num_recycles=options.num_recycles))
    for i, structure in enumerate(structures):
        row = "  ".join(f"{name} {samples[name][i]:.3f}" for name in ("tm_score", "lddt_ca", "mean_plddt", "ptm"))
        print(f"{structure.id:8} {structure.length:4}  {row}")
    print("  ".join(f"{name} {value:.3f}" for name, value in summary(samples).items()))
    if options.record:
        _record(options.record, options, folder.describe(), [structure.id for structure in structures], samples)


if __name__ == "__main__":
    main()
