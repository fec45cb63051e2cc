"""The picture shows the committed structures, which are the shipped model's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.structures import FOLDER, PRECISIONS, RESULTS
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.metrics import rmsd
from lowmem_fold.predictions.structures import read_pdb
from plots.structure import draw, structures
from tests.models import sampled_fingerprint
from tests.plots.drawn import figure_of


def test_they_are_of_the_shipped_model() -> None:
    """After a change of the demo model: `python -m benchmarks.structures`, then `python -m plots.make`."""
    records = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    demo = find_checkpoint("demo")
    known = {demo.fingerprint(), sampled_fingerprint(demo.path)}
    assert {r["resolved"]["model"]["fingerprint"] for r in records} <= known
    assert [r["requested"]["precision"] for r in records] == list(PRECISIONS) == list(structures())


def test_files_are_of_their_records() -> None:
    """The mean of the B-factors of CA is the pLDDT that was recorded; columns 61 to 66 by the format."""
    for line in RESULTS.read_text().splitlines():
        record = json.loads(line)
        lines = (FOLDER / record["resolved"]["file"]).read_text().splitlines()
        plddt = [float(line[60:66]) for line in lines if line.startswith("ATOM") and line[12:16] == " CA "]
        assert np.mean(plddt) == pytest.approx(record["samples"]["mean_plddt"][0], abs=0.005)


def test_the_title_says_how_far_they_are_apart() -> None:
    left, right = figure_of(draw, structures()).subfigs
    fp32, int8 = (read_pdb(FOLDER / f"{precision}.pdb").ca for precision in PRECISIONS)
    assert right.get_suptitle() == f"int8 superimposed on fp32: CA-RMSD {rmsd(int8, fp32):.2f} Å"
    assert left.get_suptitle() == "PDB 1mr1D by the demo model"
