"""A run whose stem goes before its trunk, and one whose memory is short, from the records to what is on disk."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import BudgetError, InputError
from lowmem_fold.run import failure, order
from lowmem_fold.run.folding import fold_records
from lowmem_fold.run.options import RunOptions
from lowmem_fold.run.progress import SilentProgress
from lowmem_fold.run.stem_cache import StemCache

from ..fake_run import FakeFolder, fake_state, helix, make_records, needed

ALL = ("resident", "staged", "streamed")
HIDDEN = ".lowmem_fold.stem"


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Windows of 100 tokens, and no planner, which takes seconds and knows nothing of a fake model."""
    monkeypatch.setattr(order, "WINDOW_TOKENS", 100)
    monkeypatch.setattr(failure, "smallest_budget_text", lambda record, options: "; 7 GB would do")


def lines_of(out: Path) -> dict[str, dict]:
    return {line["id"]: line for line in map(json.loads, (out / "scores.jsonl").read_text().splitlines())}


def streamed(**options) -> FakeFolder:
    return FakeFolder(placements=("streamed",), **options)


# Windows


def test_stem_runs_once_a_window(tmp_path) -> None:
    folder = streamed()
    fold_records(make_records(40, 60, 1, 500, 30, 30), tmp_path, load=folder.load)
    assert folder.stem == [["r0", "r1"], ["r2"], ["r3"], ["r4", "r5"]]
    assert folder.folded == [["r0"], ["r1"], ["r2"], ["r3"], ["r4"], ["r5"]]
    assert all(keywords["states"] is not None for keywords in folder.keywords)
    assert not (tmp_path / HIDDEN).exists()


def test_window_is_done_before_the_next_begins(tmp_path) -> None:
    def before_stem(records):
        number = int(records[0].id[1:])
        assert [path.stem for path in sorted(tmp_path.glob("*.pdb"))] == [f"r{i}" for i in range(number)]

    fold_records(make_records(40, 60, 50, 50), tmp_path, load=streamed(before_stem=before_stem).load)
    assert len(lines_of(tmp_path)) == 4


def test_resident_model_runs_no_stem_apart(tmp_path) -> None:
    folder = FakeFolder(placements=ALL)
    fold_records(make_records(40, 60), tmp_path, load=folder.load)
    assert folder.stem == []
    assert [keywords["states"] for keywords in folder.keywords] == [None, None]


def test_batches_stay_batches_in_a_window(tmp_path) -> None:
    folder = streamed()
    options = RunOptions(max_tokens_per_batch=30)
    fold_records(make_records(20, 10, 15, 15, 90), tmp_path, options, load=folder.load)
    assert folder.stem == [["r1", "r2", "r3", "r0"], ["r4"]]
    assert folder.folded == [["r1", "r2"], ["r3"], ["r0"], ["r4"]]
    assert [len(keywords["states"]) for keywords in folder.keywords[:1]] == [2]


def test_same_sequence_twice_is_one_stem(tmp_path) -> None:
    (record,) = make_records(20)
    folder = streamed()
    fold_records([record, replace(record, id="again")], tmp_path, load=folder.load)
    assert len(folder.stem) == 1 and len(folder.stem[0]) == 1
    assert folder.folded == [["r0"], ["again"]]


def test_stem_has_its_part_in_seconds_and_peak(tmp_path) -> None:
    """The memory is asked of the system: the C library may hold some that was freed before."""

    def before_stem(records):
        with mmap.mmap(-1, 2**28) as held:
            for _ in range(2**8):
                held.write(bytes(2**20))

    fold_records(make_records(30, 60), tmp_path / "with", load=streamed(before_stem=before_stem).load)
    line = lines_of(tmp_path / "with")["r0"]
    assert line["placement"] == "streamed" and line["seconds"] > 0
    fold_records(make_records(30, 60), tmp_path / "without", load=FakeFolder().load)
    assert line["peak_bytes"] > lines_of(tmp_path / "without")["r0"]["peak_bytes"] + 2**27


def test_progress_hears_of_the_stem(tmp_path) -> None:
    heard = []

    class Heard(SilentProgress):
        def stem_begins(self, records):
            heard.append(("stem", [record.id for record in records]))

        def stem_ended(self, records):
            heard.append(("there", [record.id for record in records]))

        def advanced(self, part):
            heard.append(part)

        def working_on(self, records):
            heard.append(("trunk", [record.id for record in records]))

    fold_records(make_records(30, 60), tmp_path, load=streamed().load, progress=Heard())
    assert heard == [
        ("there", []),
        ("stem", ["r0", "r1"]),
        1.0,
        ("there", ["r0", "r1"]),
        ("trunk", ["r0"]),
        ("trunk", ["r1"]),
    ]


# What is kept


def test_killed_run_goes_on_without_the_stem(tmp_path) -> None:
    records = make_records(30, 30, 30, 70)

    def stop(record):
        if record.id == "r1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fold_records(records, tmp_path, load=streamed(before=stop).load)
    assert len(list((tmp_path / HIDDEN).iterdir())) == 2  # r0 is finished
    folder = streamed()
    fold_records(records, tmp_path, load=folder.load)
    assert folder.stem == [["r3"]]
    assert folder.folded == [["r1"], ["r2"], ["r3"]]
    assert not (tmp_path / HIDDEN).exists()


def test_damaged_state_is_computed_again(tmp_path) -> None:
    records = make_records(30, 30)
    cache = StemCache(tmp_path / "cache", streamed().describe())
    options = RunOptions(stem_cache=str(tmp_path / "cache"))
    fold_records(records, tmp_path / "one", options, load=streamed().load)
    path = tmp_path / "cache" / f"{cache.key(records[1])}.npy"
    path.write_bytes(path.read_bytes()[:-50])
    folder = streamed()
    fold_records(records, tmp_path / "two", options, load=folder.load)
    assert folder.stem == [["r1"]]
    assert np.array_equal(cache.get(records[1]), fake_state(records[1]))


def test_shared_cache_serves_other_trunk_settings_and_folders(tmp_path) -> None:
    records = make_records(30, 30)
    options = RunOptions(stem_cache=str(tmp_path / "cache"))
    folder = FakeFolder()  # resident
    fold_records(records, tmp_path / "one", options, load=folder.load)
    assert folder.stem == [["r0", "r1"]]
    assert len(list((tmp_path / "cache").iterdir())) == 2
    for number, other in enumerate([replace(options, num_recycles=1), replace(options, recycle_tolerance=0.5)]):
        folder = FakeFolder()
        fold_records(make_records(30, 30, 30), tmp_path / f"again{number}", other, load=folder.load)
        assert folder.stem == ([["r2"]] if number == 0 else [])
        assert all(keywords["states"] is not None for keywords in folder.keywords)
    folder = FakeFolder(fingerprint="beef")
    fold_records(records, tmp_path / "other", options, load=folder.load)
    assert folder.stem == [["r0", "r1"]]


def test_place_of_the_cache_is_checked_before_the_model_is_loaded(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    folder = FakeFolder()
    with pytest.raises(InputError, match="--stem-cache"):
        fold_records(make_records(4), tmp_path / "out", RunOptions(stem_cache=str(tmp_path / "file")), load=folder.load)
    assert not folder.loads and not (tmp_path / "out").exists()


def test_cache_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch) -> None:
    def full(self, record, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StemCache, "put", full)
    folder = streamed()
    assert fold_records(make_records(30, 30), tmp_path, load=folder.load).folded == ["r0", "r1"]
    assert folder.stem == [["r0", "r1"]]
    assert (tmp_path / "lowmem_fold.log").read_text().count("No space left") == 1


def test_finished_run_clears_what_a_killed_one_left(tmp_path) -> None:
    records = make_records(30)
    fold_records(records, tmp_path, load=streamed().load)
    StemCache(tmp_path / HIDDEN, {}).put(records[0], fake_state(records[0]))
    fold_records(records, tmp_path, load=streamed().load)
    assert not (tmp_path / HIDDEN).exists()


# Memory that runs out


def test_stem_that_runs_out_of_memory_is_run_for_fewer(tmp_path) -> None:
    def before_stem(records):
        if len(records) > 1:
            raise MemoryError

    folder = streamed(before_stem=before_stem)
    fold_records(make_records(20, 20, 20), tmp_path, load=folder.load)
    assert folder.stem == [["r0"], ["r1"], ["r2"]]
    assert len(folder.folded) == 3


def test_stem_that_does_not_fit_steps_down_for_the_rest(tmp_path) -> None:
    folder = FakeFolder(
        placements=("staged", "streamed"), before_stem=lambda records: run_out_if(folder.placement == "staged")
    )
    fold_records(make_records(20, 20, 90), tmp_path, load=folder.load)
    assert folder.stem == [["r0"], ["r1"], ["r2"]]
    assert {line["placement"] for line in lines_of(tmp_path).values()} == {"streamed"}


def run_out_if(condition: bool) -> None:
    if condition:
        raise MemoryError


def test_stem_that_fails_is_left_to_the_folds(tmp_path) -> None:
    """What is no want of memory is not tried in halves: each fold says for itself what is wrong."""

    def before_stem(records):
        if any(record.id == "r1" for record in records):
            raise RuntimeError("no luck")

    folder = streamed(before_stem=before_stem)
    summary = fold_records(make_records(20, 20, 20), tmp_path, load=folder.load)
    assert summary.folded == ["r0", "r1", "r2"]
    assert [keywords["states"] is None for keywords in folder.keywords] == [True, True, True]
    assert folder.stem == []


def test_no_record_is_lost(tmp_path) -> None:
    """A step that stays, and a record that fits nowhere, in one run."""
    folder = FakeFolder(placements=ALL, capacity=130)
    records = make_records(20, 35, 60, 1000, 25)
    summary = fold_records(records, tmp_path, load=folder.load)
    assert (summary.folded, summary.failed, summary.lowered) == (["r0", "r1", "r2", "r4"], ["r3"], [])
    found = {
        id: (line["status"], line.get("placement"), line.get("chunk_size"), line["attempts"])
        for id, line in lines_of(tmp_path).items()
    }
    assert found == {
        "r0": ("ok", "resident", None, 1),
        "r1": ("ok", "staged", None, 2),
        "r2": ("ok", "staged", None, 1),
        "r3": ("failed", None, None, 3),
        "r4": ("ok", "staged", None, 1),
    }
    reason = lines_of(tmp_path)["r3"]["reason"]
    assert reason.startswith("out of memory (3 attempts, the last: streamed, blocks of 4 rows); 7 GB would do: ")
    assert "610 of 130" in reason
    log = (tmp_path / "lowmem_fold.log").read_text()
    assert "r1: folded at attempt 2 (staged)" in log
    assert "weights are staged from here on, no longer resident" in log
    assert "free of" in log
    assert not (tmp_path / HIDDEN).exists()


def test_run_whose_weights_step_down_runs_its_stem_in_windows_from_there_on(tmp_path) -> None:
    folder = FakeFolder(placements=("resident", "streamed"), capacity=needed("fp32", "streamed", 60))
    folder.capacity = 110
    fold_records(make_records(5, 60, 30, 30), tmp_path, load=folder.load)
    assert folder.stem == [["r2", "r3"]]


def test_lower_precision_is_told_and_its_stem_is_its_own(tmp_path) -> None:
    folder = FakeFolder(placements=("staged",), capacity=100)
    options = RunOptions(allow_precision=("int8",))
    summary = fold_records(make_records(20, 100, 20), tmp_path, options, load=folder.load)
    assert (summary.folded, summary.lowered) == (["r0", "r1", "r2"], ["r1"])
    lines = lines_of(tmp_path)
    assert [lines[id].get("precision") for id in ("r0", "r1", "r2")] == [None, "int8", None]
    states = {ids[0]: keywords["states"] for ids, keywords in zip(folder.folded, folder.keywords, strict=True)}
    assert states["r1"] is None and states["r0"] is not None and states["r2"] is not None
    assert json.loads((tmp_path / "r1.scores.json").read_text())["precision"] == "int8"


def test_result_in_a_lower_precision_is_folded_again_where_that_is_not_allowed(tmp_path) -> None:
    options = RunOptions(allow_precision=("int8",))
    fold_records(make_records(10, 60), tmp_path, options, load=FakeFolder(capacity=110).load)
    assert fold_records(make_records(10, 60), tmp_path, options, load=FakeFolder().load).folded == []
    folder = FakeFolder()
    assert fold_records(make_records(10, 60), tmp_path, load=folder.load).folded == ["r1"]
    assert "precision" not in lines_of(tmp_path)["r1"]


def test_batch_that_runs_out_is_split_first(tmp_path) -> None:
    folder = FakeFolder(placements=ALL, capacity=130)
    options = RunOptions(max_tokens_per_batch=60)
    fold_records(make_records(20, 20, 20), tmp_path, options, load=folder.load)
    assert folder.folded == [["r0"], ["r1"], ["r2"]]
    assert {(line["placement"], line["chunk_size"], line["attempts"]) for line in lines_of(tmp_path).values()} == {
        ("resident", None, 1)
    }


def test_budget_without_room_for_the_longest_is_no_reason_to_lose_the_others(tmp_path) -> None:
    folder = FakeFolder()

    def load(model, **options):
        if options["length"] > 50:
            raise BudgetError("nothing fits")
        return folder.load(model, **options)

    assert fold_records(make_records(100, 20), tmp_path / "a", RunOptions(memory="8GB"), load=load).folded == [
        "r0",
        "r1",
    ]
    with pytest.raises(BudgetError, match="nothing fits"):
        fold_records(make_records(100), tmp_path / "b", RunOptions(memory="8GB"), load=load)
    assert not (tmp_path / "b").exists()


def test_options_reach_the_loader(tmp_path) -> None:
    folder = FakeFolder(placements=ALL)
    options = RunOptions(memory="8GB", host_memory="16GiB", placement="staged", device="cpu")
    fold_records(make_records(30, 40), tmp_path, options, load=folder.load)
    assert folder.loads == [
        {
            "memory": "8GB",
            "host_memory": "16GiB",
            "placement": "staged",
            "device": "cpu",
            "precision": None,
            "length": 30,  # the shortest: the model places its weights anew where a longer one needs that
        }
    ]
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["options"]["memory"] == "8GB" and stored["options"]["placement"] == "staged"
    fold_records(make_records(30, 40, 50), tmp_path, load=folder.load)  # none of them decides the numbers
    assert folder.loads[-1]["length"] == 50


def test_records_go_by_the_placement_that_each_fits(tmp_path) -> None:
    """One long record does not slow the others down, and comes after them."""
    folder = FakeFolder(placements=ALL)
    folder.planned_placement = lambda length: "resident" if length <= 40 else "streamed"
    summary = fold_records(make_records(30, 90, 40), tmp_path, load=folder.load)
    assert summary.folded == ["r0", "r2", "r1"]
    assert list(lines_of(tmp_path)) == ["r0", "r1", "r2"]


def test_length_is_that_of_what_is_left(tmp_path) -> None:
    fold_records(make_records(90), tmp_path, load=FakeFolder().load)
    folder = FakeFolder()
    fold_records(make_records(90, 30, 40), tmp_path, RunOptions(max_tokens_per_batch=70), load=folder.load)
    assert folder.loads[0]["length"] == 30


def test_result_of_a_record_that_was_stepped_down_is_the_same(tmp_path) -> None:
    (record,) = make_records(60)
    fold_records([record], tmp_path, load=FakeFolder(placements=ALL, capacity=100).load)
    assert (tmp_path / "r0.pdb").read_text() == helix(record).to_pdb()
    assert sorted(os.listdir(tmp_path)) == [
        "config.json",
        "lowmem_fold.log",
        "r0.pdb",
        "r0.scores.json",
        "scores.csv",
        "scores.jsonl",
    ]
