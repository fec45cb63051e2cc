"""The folder of a run, as it is, unfinished, damaged, and not one."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.fasta import parse_sequence
from lowmem_fold.view.run import read_run
from lowmem_fold.view.run_page import run_page
from tests.fake_run import helix, make_records
from tests.view.runs import CONFIG, failed, with_plddt, written


def complex_of_two(id: str = "two"):
    return helix(parse_sequence("ACDEF:GHIK", id), pae=np.arange(81, dtype=np.float32).reshape(9, 9) / 4)


def test_records_in_the_order_of_the_run(tmp_path):
    first, second = (helix(record) for record in make_records(30, 20, prefix="z"))
    written(tmp_path, [second, first, complex_of_two()], [failed("broken")], save_pae=True, format="both")
    run = read_run(tmp_path)
    assert run.config["settings"] == CONFIG["settings"]
    assert [record.id for record in run.records] == ["z1", "z0", "two", "broken"]
    assert [record.status for record in run.records] == ["ok", "ok", "ok", "failed"]
    assert [record.length for record in run.records] == [20, 30, 9, 9]
    record = run.records[2]
    assert record.chains == ("ACDEF", "GHIK")
    assert record.structure_path == tmp_path / "two.pdb"
    assert record.plddt == [80.5] * 9
    np.testing.assert_array_equal(record.read_pae(), np.rint(np.arange(81).reshape(9, 9) / 4))
    assert run.records[3].structure_path is None and run.records[3].read_pae() is None


def test_results_saved_without_a_run(tmp_path):
    helix(make_records(12)[0]).save(tmp_path, format="cif")
    run = read_run(tmp_path)
    assert run.config == {}
    assert [(record.id, record.status, record.read_pae()) for record in run.records] == [("r0", "ok", None)]
    assert run.records[0].structure_path == tmp_path / "r0.cif"


def test_what_is_missing_or_damaged_is_said(tmp_path):
    records = make_records(5, 6, 7, 8)
    written(tmp_path, [helix(record) for record in records], save_pae=True)
    (tmp_path / "r0.pdb").unlink()
    (tmp_path / "r1.pae.json").write_text("[{")
    (tmp_path / "r2.pae.json").write_text(json.dumps([{"predicted_aligned_error": [[1, 2], [3, 4]]}]))
    scores = json.loads((tmp_path / "r3.scores.json").read_text())
    (tmp_path / "r3.scores.json").write_text(json.dumps({**scores, "plddt": [1, 2]}))
    with (tmp_path / "scores.jsonl").open("a") as table:
        table.write('{"id": "torn')
    gone, torn, small, short = read_run(tmp_path).records
    assert gone.status == "missing"
    assert torn.read_pae() is None and torn.complaints[0].startswith("r1.pae.json cannot be read")
    assert small.read_pae() is None and "2 x 2 errors, the record has 7 residues" in small.complaints[0]
    assert short.plddt is None
    assert short.complaints == ["r3.scores.json holds 2 pLDDT, the record has 8 residues"]


def test_scores_and_settings_that_cannot_be_read_are_told_of(tmp_path):
    """The record has what the table says of it; without a line there, the run tells of it."""
    written(tmp_path, [helix(record) for record in make_records(5, 6)])
    (tmp_path / "r0.scores.json").write_text('{"id": "r0", ')
    (tmp_path / "r1.scores.json").write_text(json.dumps({"id": "r9"}))
    (tmp_path / "other.scores.json").write_text("[]")
    (tmp_path / "config.json").write_text('{"settings":')
    run = read_run(tmp_path)
    assert [record.id for record in run.records] == ["r0", "r1"]
    assert [record.length for record in run.records] == [5, 6]
    assert run.records[0].complaints[0].startswith("r0.scores.json cannot be read: ")
    assert run.records[1].complaints == ["r1.scores.json is not of r1: its id is 'r9'"]
    assert run.complaints[0] == "other.scores.json is not a JSON object"
    assert run.complaints[1].startswith("config.json cannot be read: ")
    page = run_page(run)
    assert [text for name, text in page.settings if name == "damaged"] == run.complaints


def test_maps_of_errors_are_not_kept(tmp_path):
    """A page of hundreds of long records would else hold them all."""
    written(tmp_path, [helix(make_records(4)[0])], save_pae=True)
    record = read_run(tmp_path).records[0]
    first = weakref.ref(record.read_pae())
    assert first() is None


def test_pae_with_unknown_values(tmp_path):
    prediction = helix(make_records(4)[0])
    written(tmp_path, [prediction], save_pae=True)
    rows = [[0, None, 2, 3]] * 4
    (tmp_path / "r0.pae.json").write_text(json.dumps([{"predicted_aligned_error": rows}]))
    np.testing.assert_array_equal(read_run(tmp_path).records[0].read_pae(), [[0, np.nan, 2, 3]] * 4)


def test_plddt_that_is_no_number(tmp_path):
    prediction = helix(make_records(3)[0])
    written(tmp_path, [helix(make_records(3)[0], **with_plddt(prediction, 70))])
    scores = json.loads((tmp_path / "r0.scores.json").read_text())
    (tmp_path / "r0.scores.json").write_text(json.dumps({**scores, "plddt": [70.0, None, "x"]}))
    assert read_run(tmp_path).records[0].plddt == [70.0, None, None]


@pytest.mark.parametrize("id", ["../secret", "/etc/passwd", "..", "a\\b"], ids=["up", "root", "parent", "windows"])
def test_no_file_of_another_folder_is_read(tmp_path, id):
    (tmp_path / "secret.pdb").write_text("ATOM")
    folder = written(tmp_path / "out", [helix(make_records(3)[0])])
    with (folder / "scores.jsonl").open("a") as table:
        table.write(json.dumps({"id": id, "status": "ok", "sequence": "ACD"}) + "\n")
    assert [record.id for record in read_run(folder).records] == ["r0"]


def test_what_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"nothere: no such folder"):
        read_run(tmp_path / "nothere")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not the folder of a run"):
        read_run(tmp_path / "file")
    with pytest.raises(InputError, match="not the folder of a run"):
        read_run(tmp_path)
