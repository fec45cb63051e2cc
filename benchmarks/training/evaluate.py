"""Held-out accuracy: `python -m benchmarks.training.evaluate benchmarks/data/ts50 [--controls] [--record FILE.jsonl]`.

Predicts every chain of a folder of PDB files and compares with the known structure: TM-score, lDDT-CA, how well the
predicted pLDDT follows the measured lDDT-CA, and how many chi angles are right. The controls (`controls.py`) go through
the same code.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowmem_fold.metrics import chi_angles, chi_errors, lddt_per_residue, tm_score
from lowmem_fold.predictions.structures import Structure, read_pdb_folder
from lowmem_fold.sequences.residues import ATOM_ORDER

from .guess import Guess

if TYPE_CHECKING:
    from lowmem_fold.bench.records import Measurement
    from lowmem_fold.folder import Folder

__all__ = ["compare", "evaluate", "folded", "main", "summary"]

_CA = ATOM_ORDER["CA"]
CHI_TOLERANCE = 40.0
"""Degrees within which a chi angle counts as right, as usual for rotamers (SCWRL4: Krivov et al. 2009)."""


def folded(folder: Folder, num_recycles: int) -> Callable[[Structure], Guess]:
    """The predictor that a model is."""

    def predict(structure: Structure) -> Guess:
        prediction = folder.fold(structure.sequence, num_recycles=num_recycles)
        chi = chi_angles(structure.sequence, prediction.positions, prediction.atom_mask)
        return Guess(prediction.positions[:, _CA], chi, prediction.plddt, prediction.ptm)

    return predict


def compare(structures: Iterable[Structure], predict: Callable[[Structure], Guess]) -> dict[str, list[float]]:
    """Predict each structure and score it.

    Returns
    -------
    dict of str to list of float
        Per protein ``tm_score``, ``lddt_ca`` (0 to 1), and, where the predictor gives what they need, ``mean_plddt``
        (0 to 100), ``ptm``, ``chi1_right`` and ``chi12_right``, the fractions of the residues that have it whose chi 1
        is, and whose chi 1 and 2 both are, within 40 degrees; per residue of all proteins in a row
        ``residue_lddt_ca`` and ``residue_plddt``.
    """
    samples: dict[str, list[float]] = {}
    for structure in structures:
        for name, values in _scores(structure, predict(structure)).items():
            samples.setdefault(name, []).extend(round(float(value), 4) for value in values)
    return samples


def _scores(structure: Structure, guess: Guess) -> dict[str, Iterable[float]]:
    only_ca = slice(_CA, _CA + 1)
    seen = structure.atom_mask[:, only_ca]
    measured = lddt_per_residue(guess.ca[:, None], structure.positions[:, only_ca], seen)
    scores: dict[str, Iterable[float]] = {
        "tm_score": [tm_score(guess.ca, structure.ca)],
        "lddt_ca": [float(measured.mean())],
        "residue_lddt_ca": measured,
    }
    if guess.plddt is not None:
        scores |= {"mean_plddt": [float(guess.plddt.mean())], "residue_plddt": guess.plddt}
    if guess.ptm is not None:
        scores["ptm"] = [guess.ptm]
    if guess.chi is not None:
        known = chi_angles(structure.sequence, structure.positions, structure.atom_mask)
        scores |= _chi_scores(chi_errors(structure.sequence, guess.chi, known))
    return scores


def _chi_scores(errors: np.ndarray) -> dict[str, list[float]]:
    right = np.degrees(errors) <= CHI_TOLERANCE
    have_1, have_2 = (np.isfinite(errors[:, i]) for i in (0, 1))
    return {
        "chi1_right": [float(right[have_1, 0].mean())],
        "chi12_right": [float(right[have_2, :2].all(axis=1).mean())],
    }


def summary(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Means over the proteins, and the correlations of predicted with measured lDDT-CA by residue and by protein."""
    names = ("tm_score", "lddt_ca", "mean_plddt", "ptm", "chi1_right", "chi12_right")
    scores = {f"mean_{name.removeprefix('mean_')}": float(np.mean(samples[name])) for name in names if name in samples}
    if "mean_plddt" in samples:
        scores["pearson_residues"] = _pearson(samples["residue_plddt"], samples["residue_lddt_ca"])
        scores["pearson_proteins"] = _pearson(samples["mean_plddt"], samples["lddt_ca"])
        scores["pearson_ptm"] = _pearson(samples["ptm"], samples["tm_score"])
    return scores


def _pearson(x: Sequence[float], y: Sequence[float]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def evaluate(
    structures: Sequence[Structure], model: str, num_recycles: int, device: str, controls: bool
) -> list[Measurement]:
    """Measure a model, and if asked the controls after it; `requested["predictor"]` tells which a record is of."""
    from lowmem_fold.loading import load

    from .controls import draw_pairs, helix, random_weights

    folder = load(model, device=device)
    described = {name: value for name, value in folder.describe().items() if name != "source"}  # a place on one machine
    measurements = [_measure(model, structures, folded(folder, num_recycles), num_recycles, {"model": described})]
    if controls:
        pairs = draw_pairs(structures)
        drawn = {"partners": [partner for _, partner, _ in pairs]}
        guesses = iter([guess for _, _, guess in pairs])
        measurements += [
            _measure("random weights", structures, folded(random_weights(folder), num_recycles), num_recycles, {}),
            _measure("random pairs", [chain for chain, _, _ in pairs], lambda _: next(guesses), 0, drawn),
            _measure("ideal helix", structures, helix, 0, {}),
        ]
    return measurements


def _measure(
    name: str, structures: Sequence[Structure], predict: Callable[[Structure], Guess], num_recycles: int, resolved: dict
) -> Measurement:
    from lowmem_fold.bench.environment import describe_environment
    from lowmem_fold.bench.records import Measurement

    return Measurement(
        "demo-accuracy",
        {"predictor": name, "num_recycles": num_recycles},
        {"chains": [s.id for s in structures], "lengths": [s.length for s in structures], **resolved},
        describe_environment(),
        compare(structures, predict),
    )


def main(arguments: list[str] | None = None) -> None:
    """Evaluate from the command line: a line per protein, then a summary of the model and of each control."""
    from lowmem_fold.bench.records import append_measurement

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("structures", type=Path, help="folder of PDB files")
    parser.add_argument("--model", default="demo", help="as of lowmem-fold fold (%(default)s)")
    parser.add_argument("--num-recycles", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--device", default="auto", help="(%(default)s)")
    parser.add_argument("--controls", action="store_true", help="random weights, random pairs and an ideal helix too")
    parser.add_argument("--record", type=Path, help="append the measurements to this file")
    options = parser.parse_args(arguments)
    structures = read_pdb_folder(options.structures)
    measurements = evaluate(structures, options.model, options.num_recycles, options.device, options.controls)
    for i, structure in enumerate(structures):
        names = ("tm_score", "lddt_ca", "mean_plddt", "ptm", "chi1_right")
        row = "  ".join(f"{name} {measurements[0].samples[name][i]:.3f}" for name in names)
        print(f"{structure.id:8} {structure.length:4}  {row}")
    for measurement in measurements:
        scores = "  ".join(f"{name} {value:.3f}" for name, value in summary(measurement.samples).items())
        print(f"{measurement.requested['predictor']}: {scores}")
        if options.record:
            append_measurement(options.record, measurement)


if __name__ == "__main__":
    main()
