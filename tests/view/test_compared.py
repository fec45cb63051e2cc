"""Two sets of structures: which is laid on which, and what the page says of it."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.metrics import rmsd, tm_score
from lowmem_fold.view.compared import compared, read_side
from lowmem_fold.view.comparison_page import comparison_page
from lowmem_fold.view.page import page_html
from tests.fake_run import helix, make_records
from tests.view.runs import with_plddt, written
from tests.view.structures import TS50, known, predicted, turned
from tests.view.test_page import Elements

NAMES = ("1ahsA", "2a2lA")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run whose structures are the known ones, shaken, turned and shifted; and the known ones."""
    root = tmp_path_factory.mktemp("compared")
    (root / "known").mkdir()
    shaken = []
    for seed, name in enumerate(NAMES):
        shutil.copy(TS50 / f"{name}.pdb.gz", root / "known")
        structure = known(name)
        noise = np.random.default_rng(seed).normal(0, 0.8, structure.positions.shape)
        shaken.append(predicted(structure, positions=turned(structure.positions + noise, seed)))
    alone = helix(make_records(20, prefix="alone")[0])
    return written(root / "run", [*shaken, alone]), root / "known"


def pairs_of(a, b):
    a, b = read_side(a), read_side(b)
    return a, b, list(compared(a, b))


def test_run_on_experiment(folders):
    a, b, pairs = pairs_of(*folders)
    page = Elements(page_html(comparison_page(a, b, pairs)))
    assert page.data["title"] == "run on known"
    assert page.data["subtitle"].endswith("2 compared · 1 of run without a partner in known")
    assert [record["id"] for record in page.data["records"]] == list(NAMES)
    shown = {column["key"] for column in page.data["columns"]}
    assert "plddt" in shown and "reference_plddt" not in shown
    for index, name in enumerate(NAMES):
        structure, moved = known(name), pairs[index].comparison.moved
        record = page.data["records"][index]
        assert record["rmsd"] == pytest.approx(rmsd(moved.positions[:, 1], structure.ca))
        assert record["tm"] == pytest.approx(tm_score(moved.positions[:, 1], structure.ca), abs=1e-6)
        payload = page.block(f"record-{index}")
        apart = np.linalg.norm(moved.positions[:, 1] - structure.ca, axis=1)
        np.testing.assert_allclose(payload["distance"], apart, atol=0.006)
        assert record["largest"] == pytest.approx(apart.max(), abs=1e-4)
        assert payload["models"][1]["places"] == list(range(structure.length))
        assert len(payload["models"][0]["plddt"]) == structure.length and payload["models"][1]["plddt"] is None
        assert [curve["kind"] for curve in payload["curves"]] == ["distance", "plddt"]
        assert len(payload["curves"][1]["series"]) == 1


def test_residues_that_one_of_them_lacks(tmp_path):
    whole = known("1ahsA")
    rows = np.r_[0:40, 50 : whole.length]
    part = predicted(whole, id="part", chains=("".join(np.array(list(whole.sequence))[rows]),), pae=None, **{
        name: value[rows]
        for name, value in {
            "positions": whole.positions,
            "atom_mask": whole.atom_mask,
            "plddt": np.zeros(whole.length, np.float32),
            "atom_plddt": np.zeros((whole.length, 37), np.float32),
        }.items()
    })  # fmt: skip
    (tmp_path / "part.pdb").write_text(part.to_pdb())
    (tmp_path / "whole.cif").write_text(predicted(whole).to_cif())
    a, b, pairs = pairs_of(tmp_path / "whole.cif", tmp_path / "part.pdb")
    payload = Elements(page_html(comparison_page(a, b, pairs))).block("record-0")
    assert payload["distance"][40:50] == [None] * 10 and None not in payload["distance"][:40]
    assert payload["models"][1]["places"] == list(rows)
    assert payload["models"][1]["chains"] == [{"id": "A", "numbers": list(range(1, len(rows) + 1))}]


def test_run_on_run(folders, tmp_path):
    run, _ = folders
    structure = predicted(known("1ahsA"))
    other = written(tmp_path / "other", [predicted(known("1ahsA"), **with_plddt(structure, 64.0))])
    a, b, pairs = pairs_of(run, other)
    page = Elements(page_html(comparison_page(a, b, pairs)))
    assert page.data["records"][0]["reference_plddt"] == 64.0
    series = page.block("record-0")["curves"][1]["series"]
    assert [line["name"] for line in series] == ["run", "other"]
    assert series[1]["values"] == [64.0] * structure.length
    assert {name for name, _ in page.data["settings"]} >= {"run: model", "other: model"}


def test_files_of_predictions_have_their_plddt(folders, tmp_path):
    """Two single files, without the runs that they are of."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.pdb").write_text(predicted(known("1ahsA")).to_pdb())
    a, b, pairs = pairs_of(tmp_path / "a.pdb", tmp_path / "b.pdb")
    page = Elements(page_html(comparison_page(a, b, pairs)))
    assert page.data["records"][0]["plddt"] == page.data["records"][0]["reference_plddt"] == pytest.approx(60, abs=0.01)
    assert [curve["kind"] for curve in page.block("record-0")["curves"]] == ["distance", "plddt"]
    a, b, pairs = pairs_of(tmp_path / "a.pdb", folders[1] / "1ahsA.pdb.gz")
    assert "reference_plddt" not in {column.key for column in comparison_page(a, b, pairs).columns}


def test_a_chain_without_a_partner_is_told_of(tmp_path):
    """How many residues are compared stands in the table, with the number of all."""
    whole = predicted(known("1ahsA"), 60)
    (tmp_path / "whole.pdb").write_text(whole.to_pdb())
    lines = [line for line in whole.to_pdb().splitlines() if line[21:22] != "A"]
    (tmp_path / "b.pdb").write_text("\n".join(lines) + "\n")
    a, b, pairs = pairs_of(tmp_path / "whole.pdb", tmp_path / "b.pdb")
    page = Elements(page_html(comparison_page(a, b, pairs)))
    (record,) = page.data["records"]
    assert (record["residues"], record["residues_whole"]) == (whole.length - 60, whole.length)
    payload = page.block("record-0")
    assert payload["notes"] == ["whole.pdb: nothing to compare with chain A"]
    assert payload["models"][1]["chains"] == [{"id": "B", "numbers": list(range(1, whole.length - 59))}]
    assert payload["models"][1]["places"] == list(range(60, whole.length))


def test_the_authors_numbers_are_in_the_page(folders):
    """The known structure begins at another number than 1, and has insertion codes nowhere."""
    a, b, pairs = pairs_of(*folders)
    payload = Elements(page_html(comparison_page(a, b, pairs))).block("record-1")
    text = gzip.decompress((TS50 / "2a2lA.pdb.gz").read_bytes()).decode().splitlines()
    numbers = [int(line[22:26]) for line in text if line.startswith("ATOM") and line[12:16] == " CA "]
    (chain,) = payload["models"][1]["chains"]
    assert chain["numbers"] == numbers != list(range(1, len(numbers) + 1)) and "labels" not in chain
    assert payload["chains"][0]["numbers"] == list(range(1, len(numbers) + 1))


def test_names_in_any_case_and_of_any_ending(folders, tmp_path):
    run, _ = folders
    (tmp_path / "1AHSa.ent.gz").write_bytes(gzip.compress(gzip.decompress((TS50 / "1ahsA.pdb.gz").read_bytes())))
    (tmp_path / "other.pdb").write_text("")
    assert [pair.names for pair in pairs_of(run, tmp_path)[2]] == [("1ahsA", "1AHSa")]


def test_what_cannot_be_compared_is_said_of_its_record(folders, tmp_path):
    run, there = folders
    shutil.copy(there / "1ahsA.pdb.gz", tmp_path / "1ahsA.pdb.gz")
    (tmp_path / "alone0.pdb").write_text("HEADER of nothing\n")
    a, b, pairs = pairs_of(run, tmp_path)
    page = Elements(page_html(comparison_page(a, b, pairs)))
    assert [record["status"] for record in page.data["records"]] == ["ok", "failed"]
    assert page.block("record-1")["notes"] == [pairs[1].reason]
    assert "alone0.pdb" in pairs[1].reason


def test_nothing_to_compare(folders, tmp_path):
    run, _ = folders
    with pytest.raises(InputError, match="no structures to compare"):
        read_side(tmp_path)
    for name in ("x", "y"):
        shutil.copy(TS50 / "1ahsA.pdb.gz", tmp_path / f"{name}.pdb.gz")
    with pytest.raises(InputError, match=r"\(1ahsA, 2a2lA, alone0\) and .* \(x, y\)"):
        pairs_of(run, tmp_path)
