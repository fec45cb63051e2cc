"""The output folder under hands of others: links, removed folders, damaged files, another input than before."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import InputError, OutputLostError
from lowmem_fold.run.folding import fold_records
from lowmem_fold.run.options import RunOptions
from lowmem_fold.run.output import CONFIG, CSV, LOG, PARTIAL, STEM, TABLE
from lowmem_fold.run.progress import SilentProgress
from lowmem_fold.system.lock import LOCK

from ..fake_run import FakeFolder, helix, make_records


@pytest.fixture(autouse=True)
def no_planner(monkeypatch):
    """The planner takes seconds, and knows nothing of a fake model."""
    monkeypatch.setattr("lowmem_fold.run.failure.smallest_budget_text", lambda record, options: "")


def fold(records, out: Path, options: RunOptions | None = None, **model):
    """A run with a fake model: its summary, and the ids that were folded."""
    folder = FakeFolder(**model)
    return fold_records(records, out, options, load=folder.load), [id for batch in folder.folded for id in batch]


def table_ids(out: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (out / TABLE).read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# Links


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["link", "hard-link"])
@pytest.mark.parametrize("name", [LOCK, LOG, TABLE, CSV, CONFIG])
def test_link_in_the_place_of_a_file_of_the_run_is_refused_by_name(tmp_path, name, make):
    mine, out = tmp_path / "mine.txt", tmp_path / "out"
    fold(make_records(4), out)
    (out / name).unlink(missing_ok=True)
    mine.write_text("precious\n")
    make(mine, out / name)
    with pytest.raises(InputError, match=rf"out.{name}: is a (hard )?link, .*Remove it or put a copy in its place"):
        fold(make_records(4, 5), out)
    assert mine.read_text() == "precious\n"
    assert not (out / "r1.pdb").exists()


@pytest.mark.parametrize("name", [PARTIAL, STEM])
def test_link_in_the_place_of_a_folder_of_the_run_is_refused_by_name(tmp_path, name):
    mine, out = tmp_path / "mine", tmp_path / "out"
    mine.mkdir()
    (mine / "notes.txt").write_text("precious")
    out.mkdir()
    (out / name).symlink_to(mine)
    with pytest.raises(InputError, match=rf"out.{name}: is a link"):
        fold(make_records(4), out)
    assert contents(mine) == {"notes.txt": b"precious"}


def test_result_in_the_place_of_a_link_leaves_what_that_points_to(tmp_path):
    mine, out = tmp_path / "mine.txt", tmp_path / "out"
    fold(make_records(4), out)
    shutil.copy(out / "r0.pdb", mine)
    (out / "r0.pdb").unlink()
    (out / "r0.pdb").symlink_to(mine)
    before = mine.read_bytes()
    fold(make_records(4), out, RunOptions(overwrite=True), changes={"r0": {"plddt": np.full(4, 20, np.float32)}})
    assert mine.read_bytes() == before
    assert not (out / "r0.pdb").is_symlink()


# The folder is taken away


def removed(out: Path) -> None:
    shutil.rmtree(out)


def moved(out: Path) -> None:
    out.rename(out.with_name("moved"))
    out.mkdir()


def replaced_by_a_file(out: Path) -> None:
    shutil.rmtree(out)
    out.write_text("a file")


def unlocked(out: Path) -> None:
    (out / LOCK).unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (removed, "was removed or moved.*Run the same command again to fold all records anew"),
        (moved, "was replaced by another one"),
        (replaced_by_a_file, "a file was put in the place of the folder.*Remove that file"),
        (unlocked, "its lock was removed"),
    ],
)
@pytest.mark.parametrize("at", ["r1", "r2"], ids=["midway", "last-record"])
@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_run_ends_where_its_folder_is_taken_away(tmp_path, change, said, at, placement):
    out = tmp_path / "out"
    seen = []

    def before(record):
        if record.id == at:
            change(out)
            seen.append(contents(out) if out.is_dir() else out.exists())

    with pytest.raises(OutputLostError, match=said):
        fold(make_records(4, 5, 6), out, before=before, placements=(placement,))
    # Nothing was made or written afterwards.
    assert [contents(out) if out.is_dir() else out.exists()] == seen or change is unlocked
    assert not (out / "r2.pdb").exists()


def test_folder_that_is_removed_after_the_last_result_is_missed_too(tmp_path):
    out = tmp_path / "out"

    class RemovesAtTheEnd(SilentProgress):
        def finished(self, record, line):
            shutil.rmtree(out)

    with pytest.raises(OutputLostError, match="was removed"):
        fold_records(make_records(4), out, load=FakeFolder().load, progress=RemovesAtTheEnd())
    assert not out.exists()


def test_folder_that_goes_while_a_result_is_written_is_told_as_such(tmp_path, monkeypatch):
    out = tmp_path / "out"
    real = os.replace

    def replace_late(source, target):
        if Path(target).name == "r0.pdb" and out.exists():
            shutil.rmtree(out)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_late)
    with pytest.raises(OutputLostError, match="was removed"):
        fold(make_records(4), out)
    assert not out.exists()


def test_results_that_are_removed_from_the_folder_are_missed(tmp_path):
    def before(record):
        if record.id == "r2":
            for path in tmp_path.glob("r0*"):
                path.unlink()

    with pytest.raises(OutputLostError, match="files of r0 were removed"):
        fold(make_records(4, 5, 6), tmp_path, before=before)
    assert fold(make_records(4, 5, 6), tmp_path)[1] == ["r0"]
    assert table_ids(tmp_path) == ["r0", "r1", "r2"]


def test_link_put_into_the_folder_in_mid_run_ends_the_run(tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.write_text("precious\n")

    def before(record):
        if record.id == "r1":
            (out / TABLE).unlink()
            (out / TABLE).symlink_to(mine)

    with pytest.raises(OutputLostError, match=rf"{TABLE}: is a link"):
        fold(make_records(4, 5), out, before=before)
    assert mine.read_text() == "precious\n"


def test_lock_of_another_run_in_a_new_folder_stays(tmp_path):
    out = tmp_path / "out"

    def before(record):
        shutil.rmtree(out)
        out.mkdir()
        (out / LOCK).write_text("process 1\n")
        (out / PARTIAL).mkdir()

    with pytest.raises(OutputLostError):
        fold(make_records(4), out, before=before)
    assert (out / LOCK).read_text() == "process 1\n" and (out / PARTIAL).is_dir()


# Damaged files


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def as_zeros(data: bytes) -> bytes:
    return bytes(len(data))


def with_one_bit(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


FULL = RunOptions(format="both", save_pae=True)


def test_size_and_hash_of_each_file_stand_in_the_scores(tmp_path):
    from hashlib import sha256

    fold(make_records(4), tmp_path, FULL)
    files = json.loads((tmp_path / "r0.scores.json").read_text())["files"]
    for ending in ("pdb", "cif", "pae.json"):
        data = (tmp_path / f"r0.{ending}").read_bytes()
        assert files.pop(ending) == {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    assert not files
    assert "files" not in json.loads((tmp_path / TABLE).read_text())


@pytest.mark.parametrize("spoil", [cut, as_zeros, with_one_bit, lambda data: b""])
@pytest.mark.parametrize("ending", ["pdb", "cif", "pae.json"])
def test_record_with_a_damaged_file_is_folded_again_and_named(tmp_path, ending, spoil):
    fold(make_records(4, 20), tmp_path, FULL)
    before = contents(tmp_path)
    path = tmp_path / f"r1.{ending}"
    path.write_bytes(spoil(path.read_bytes()))
    summary, folded = fold(make_records(4, 20), tmp_path, FULL)
    assert folded == summary.folded == summary.damaged == ["r1"]
    assert path.read_bytes() == before[path.name]
    assert "damaged, and folded again: r1" in (tmp_path / LOG).read_text()
    summary, folded = fold(make_records(4, 20), tmp_path, FULL)
    assert not folded and not summary.damaged


@pytest.mark.parametrize("ending", ["pdb", "cif", "pae.json"])
@pytest.mark.parametrize("spoil", [cut, as_zeros])
def test_record_of_before_sums_were_kept_is_looked_at_cheaply(tmp_path, ending, spoil):
    fold(make_records(4, 20), tmp_path, FULL)
    for path in tmp_path.glob("*.scores.json"):
        scores = json.loads(path.read_text())
        del scores["files"]
        path.write_text(json.dumps(scores))
    assert fold(make_records(4, 20), tmp_path, FULL)[1] == []
    path = tmp_path / f"r1.{ending}"
    path.write_bytes(spoil(path.read_bytes()))
    summary, folded = fold(make_records(4, 20), tmp_path, FULL)
    assert folded == summary.damaged == ["r1"]


def test_damaged_record_that_cannot_be_folded_again_is_a_failure_for_good(tmp_path):
    fold(make_records(4), tmp_path)
    (tmp_path / "r0.pdb").write_bytes(b"")

    def before(record):
        raise RuntimeError("no luck")

    for _ in range(2):
        summary, _ = fold(make_records(4), tmp_path, before=before)
        assert summary.failed == ["r0"]
        assert json.loads((tmp_path / TABLE).read_text())["status"] == "failed"
        assert not (tmp_path / "r0.scores.json").exists()  # else a page of the run would show it as well


def test_damaged_record_has_no_line_until_it_is_folded_again(tmp_path):
    fold(make_records(4, 5), tmp_path)
    (tmp_path / "r0.pdb").write_bytes(b"")
    seen = []
    fold(make_records(4, 5), tmp_path, before=lambda record: seen.append(table_ids(tmp_path)))
    assert seen == [["r1"]]
    assert table_ids(tmp_path) == ["r0", "r1"]


def test_damaged_scores_are_named_and_their_line_keeps_its_place(tmp_path):
    records = make_records(4, 5, 6)
    fold(records, tmp_path)
    (tmp_path / "r1.scores.json").write_bytes(bytes(100))
    summary, folded = fold(records, tmp_path)
    assert folded == summary.damaged == ["r1"]
    assert table_ids(tmp_path) == ["r0", "r1", "r2"]


# Another input, or another format


def test_table_ends_in_the_order_of_the_input(tmp_path):
    records = make_records(4, 5, 6)
    fold(records, tmp_path)
    for order in (records[::-1], [*records[1:], records[0]]):
        fold(order, tmp_path)
        assert table_ids(tmp_path) == [record.id for record in order]
    new = [*make_records(3, prefix="new"), *records]
    fold(new, tmp_path)
    assert table_ids(tmp_path) == ["new0", "r0", "r1", "r2"]


def test_table_of_batches_ends_in_the_order_of_the_input(tmp_path):
    fold(make_records(9, 3, 4), tmp_path, RunOptions(max_tokens_per_batch=10))
    assert table_ids(tmp_path) == ["r0", "r1", "r2"]


def test_what_is_not_in_the_input_is_named_and_stands_last(tmp_path):
    fold(make_records(4, 5), tmp_path)
    renamed = [*make_records(4, prefix="new"), make_records(4, 5)[1]]
    for folded in (["new0"], []):
        summary, found = fold(renamed, tmp_path)
        assert (found, summary.absent) == (folded, ["r0"])
        assert table_ids(tmp_path) == ["new0", "r1", "r0"]
    (tmp_path / "r0.scores.json").write_text("damaged")
    assert fold(renamed, tmp_path)[0].absent == ["r0"]


def test_files_of_a_format_asked_for_before_are_named(tmp_path):
    records = make_records(4, 5)
    fold(records[:1], tmp_path)
    cif = RunOptions(format="cif")
    for folded in (["r0", "r1"], []):
        summary, found = fold(records, tmp_path, cif)
        assert (found, summary.other_files) == (folded, ["r0.pdb"])


def test_files_of_a_format_asked_for_before_are_removed_by_overwrite(tmp_path):
    records = make_records(4, 5)
    fold(records, tmp_path, FULL)
    summary, _ = fold(records, tmp_path, RunOptions(format="cif", overwrite=True))
    assert not summary.other_files
    assert {path.name for path in tmp_path.glob("r0*")} == {"r0.cif", "r0.scores.json"}


def test_files_of_one_fold_are_not_of_an_earlier_one(tmp_path):
    fold(make_records(4), tmp_path, FULL)
    summary, folded = fold(make_records(4), tmp_path)
    assert not folded and not summary.other_files


def test_file_of_an_earlier_fold_does_not_count_for_the_last(tmp_path):
    fold(make_records(4), tmp_path)
    fold(make_records(4), tmp_path, RunOptions(format="cif"))
    assert fold(make_records(4), tmp_path)[1] == ["r0"]


def test_overwrite_leaves_files_that_no_run_wrote(tmp_path):
    (tmp_path / "r0.cif").write_text("mine")
    fold(make_records(4), tmp_path, RunOptions(overwrite=True))
    assert (tmp_path / "r0.cif").read_text() == "mine"


# config.json is lost


def lost(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_text("")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("spoil", [lost, emptied, zeroed])
def test_lost_config_is_written_anew_when_asked_for(tmp_path, spoil):
    records = make_records(4, 5)
    fold(records[:1], tmp_path)
    before = json.loads((tmp_path / CONFIG).read_text())["settings"]
    spoil(tmp_path / CONFIG)
    with pytest.raises(InputError, match=r"[Aa]dd --adopt"):
        fold(records, tmp_path)
    assert fold(records, tmp_path, RunOptions(adopt=True))[1] == ["r1"]
    assert json.loads((tmp_path / CONFIG).read_text())["settings"] == before
    assert fold(records, tmp_path)[1] == []


def test_results_of_other_settings_are_not_adopted(tmp_path):
    fold(make_records(4, 5), tmp_path)
    (tmp_path / CONFIG).unlink()
    before = contents(tmp_path)
    once = RunOptions(adopt=True, num_recycles=1)
    with pytest.raises(InputError, match=r"r0, r1 came from other settings.*options of the run that wrote them"):
        fold(make_records(4, 5), tmp_path, once)
    with pytest.raises(InputError, match=r"r1 came from other settings"):
        fold(make_records(4), tmp_path, replace(once, overwrite=True))
    assert contents(tmp_path) == before
    assert fold(make_records(4, 5), tmp_path, replace(once, overwrite=True))[1] == ["r0", "r1"]


def test_another_sequence_is_not_adopted(tmp_path):
    fold(make_records(4), tmp_path)
    (tmp_path / CONFIG).unlink()
    with pytest.raises(InputError, match="another sequence"):
        fold(make_records(6), tmp_path, RunOptions(adopt=True))


def test_config_of_others_is_never_adopted(tmp_path):
    (tmp_path / CONFIG).write_text('{"architectures": ["EsmForProteinFolding"]}')
    with pytest.raises(InputError, match="not from lowmem-fold"):
        fold(make_records(4), tmp_path, RunOptions(adopt=True))
    (tmp_path / CONFIG).unlink()
    (tmp_path / "r0.pdb").write_text("mine")
    with pytest.raises(InputError, match=r"r0\.pdb would be overwritten"):
        fold(make_records(4), tmp_path, RunOptions(adopt=True))


def test_folder_whose_config_is_lost_takes_no_other_records_either(tmp_path):
    fold(make_records(4), tmp_path)
    (tmp_path / CONFIG).unlink()
    (tmp_path / TABLE).unlink()
    with pytest.raises(InputError, match=r"config\.json of the run that wrote here \(1 record finished\) is lost"):
        fold(make_records(4, prefix="other"), tmp_path, RunOptions(num_recycles=1))


# Structures that PDB cannot hold


def far(record) -> dict:
    return {"positions": helix(record).positions - np.float32(1200)}


@pytest.mark.parametrize("format", ["pdb", "both"])
def test_structure_out_of_the_columns_of_pdb_is_kept_as_mmcif(tmp_path, format):
    records = make_records(6, 6)
    model = {"changes": {"r0": far(records[0])}}
    options = RunOptions(format=format)
    summary, _ = fold(records, tmp_path, options, **model)
    assert (summary.folded, summary.incomplete, summary.failed) == (["r0", "r1"], ["r0"], [])
    assert {path.name for path in tmp_path.glob("r0*")} == {"r0.cif", "r0.scores.json"}
    assert (tmp_path / "r0.cif").read_text() == helix(records[0], **far(records[0])).to_cif()
    line = json.loads((tmp_path / TABLE).read_text().splitlines()[0])
    assert (line["status"], line["left_out"]) == ("incomplete", ["pdb"])
    assert line["reason"].startswith("mmCIF alone, no PDB: a coordinate of -120")
    assert fold(records, tmp_path, options, **model)[1] == []  # what there is stays


def test_suspect_structure_out_of_the_columns_stays_suspect(tmp_path):
    (record,) = make_records(6)
    changes = {"r0": {**far(record), "ptm": 0.999, "plddt": np.full(6, 20, np.float32)}}
    summary, _ = fold([record], tmp_path, changes=changes)
    assert summary.suspect == summary.incomplete == ["r0"]
    line = json.loads((tmp_path / TABLE).read_text())
    assert line["status"] == "suspect"
    assert "pTM 0.999" in line["reason"] and "no PDB" in line["reason"]


# The place


def test_name_that_is_too_long_and_link_to_nothing_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out, said in [
        (tmp_path / ("x" * 300), "x: the name is too long"),
        (tmp_path / ("x" * 300) / "below", "the name is too long"),
        (tmp_path / "link", r"link: is a link to .*nowhere, which is not there"),
        (tmp_path / "link" / "below", "is a link to"),
        (tmp_path / "a\0b", "cannot name a folder"),
    ]:
        with pytest.raises(InputError, match=said):
            fold(make_records(4), out)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
