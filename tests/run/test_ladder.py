"""The steps down when memory runs out, with a model whose memory is a number."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from lowmem_fold.errors import BudgetError, InputError, ModelError, WeightsLostError
from lowmem_fold.run.ladder import Ladder
from lowmem_fold.run.options import RunOptions
from lowmem_fold.run.rung import NoRoomError, Rung

from ..fake_run import FakeFolder, make_records, needed

ALL = ("resident", "staged", "streamed")


def ladder_of(folder: FakeFolder, **options) -> Ladder:
    return Ladder(folder.load, RunOptions(**options), 100)


def fold(ladder: Ladder, record):
    """What worked, and its notes; the prediction is the rung."""

    def attempt(model, rung):
        model.fold(record, states=None, chunk_size=rung.chunk_size)
        return rung

    return ladder.fold(record, attempt)


def test_rungs_are_tried_in_order_and_none_below_what_works(tmp_path) -> None:
    folder = FakeFolder(placements=ALL, capacity=needed("fp32", "streamed", 150, 4))
    (record,) = make_records(150)
    rung, notes = fold(ladder_of(folder, allow_precision=("int8",)), record)
    assert rung == Rung(None, "streamed", 4)
    assert notes == {"placement": "streamed", "chunk_size": 4, "attempts": 4}
    expected = [*(f"r0 fp32 {placement} None: no" for placement in ALL), "r0 fp32 streamed 4"]
    assert [what for what in folder.tried if what.startswith("r0")] == expected


def test_smallest_step_that_does_is_taken() -> None:
    folder = FakeFolder(placements=ALL, capacity=needed("fp32", "staged", 100))
    assert fold(ladder_of(folder), make_records(100)[0])[1] == {
        "placement": "staged",
        "chunk_size": None,
        "attempts": 2,
    }


def test_placement_stays_and_low_blocks_do_not() -> None:
    folder = FakeFolder(placements=ALL, capacity=needed("fp32", "streamed", 100, 4))
    ladder = ladder_of(folder)
    long, short, longer = make_records(100, 20, 101)
    assert fold(ladder, long)[1] == {"placement": "streamed", "chunk_size": 4, "attempts": 3}
    assert fold(ladder, short)[0] == Rung(None, "streamed", None)
    folder.tried.clear()
    assert fold(ladder, long)[1] == {
        "placement": "streamed",
        "chunk_size": 4,
        "attempts": 1,
    }  # it is known what it needs
    assert folder.tried == ["r0 fp32 streamed 4"]
    with pytest.raises(NoRoomError):
        fold(ladder, longer)


def test_low_blocks_are_tried_in_the_last_placement_that_there_is() -> None:
    """Which is known only when those below it have failed."""
    folder = FakeFolder(placements=ALL, capacity=needed("fp32", "resident", 100, 4))
    ladder, place = ladder_of(folder), folder.place

    def refuse(placement: str) -> None:
        if placement != "resident":
            raise InputError("not here")
        place(placement)

    folder.place = refuse
    assert fold(ladder, make_records(100)[0])[1] == {"placement": "resident", "chunk_size": 4, "attempts": 2}


@pytest.mark.parametrize(("allowed", "worked"), [((), None), (("int8",), "int8"), (("int8", "int4"), "int8")], ids=str)
def test_lower_precision_only_if_allowed(allowed, worked) -> None:
    folder = FakeFolder(placements=("resident",), capacity=needed("int8", "resident", 60))
    ladder = ladder_of(folder, allow_precision=allowed)
    (record,) = make_records(60)
    if worked is None:
        with pytest.raises(NoRoomError):
            fold(ladder, record)
        assert all("fp32" in what for what in folder.tried)
    else:
        assert fold(ladder, record)[1] == {
            "placement": "resident",
            "chunk_size": None,
            "precision": worked,
            "attempts": 3,
        }


def test_lower_precision_is_for_one_record_and_those_as_long() -> None:
    folder = FakeFolder(placements=("resident",), capacity=110)
    ladder = ladder_of(folder, allow_precision=("int8",))
    long, short, longer = make_records(50, 10, 55)
    assert fold(ladder, long)[0].precision == "int8"
    assert fold(ladder, short)[1] == {"placement": "resident", "chunk_size": None, "attempts": 1}
    assert folder.precision == "fp32"
    folder.tried.clear()
    assert fold(ladder, longer)[1]["attempts"] == 1
    assert folder.tried == ["int8 resident", "r2 int8 resident None"]


def test_precision_that_cannot_be_had_is_passed_over() -> None:
    folder = FakeFolder(placements=("resident",), capacity=110)

    def load(model, *, precision, **options):
        if precision == "int8":
            raise InputError("no quanto here")
        return folder.load(model, precision=precision, **options)

    ladder = Ladder(load, RunOptions(allow_precision=("int8", "int4")), 100)
    for record in make_records(60, 65):
        assert fold(ladder, record)[0].precision == "int4"


def test_record_that_fits_nowhere_leaves_the_others_where_they_were() -> None:
    folder = FakeFolder(placements=ALL, capacity=130)
    ladder = ladder_of(folder)
    huge, short = make_records(1000, 20)
    with pytest.raises(NoRoomError, match="MemoryError: 610 of 130") as caught:
        fold(ladder, huge)
    assert (caught.value.attempts, caught.value.error_type) == (4, "MemoryError")
    assert caught.value.rung == Rung(None, "streamed", 4)
    assert fold(ladder, short)[1] == {"placement": "resident", "chunk_size": None, "attempts": 1}


def test_block_height_that_was_asked_for_stays() -> None:
    folder = FakeFolder(placements=ALL, capacity=needed("fp32", "staged", 100, 16))
    assert fold(ladder_of(folder, chunk_size=16), make_records(100)[0])[1] == {
        "placement": "staged",
        "chunk_size": 16,
        "attempts": 2,
    }


def test_placements_are_those_of_the_model() -> None:
    folder = FakeFolder(placements=("resident", "streamed"), capacity=needed("fp32", "streamed", 90))
    ladder = ladder_of(folder)
    assert fold(ladder, make_records(90)[0])[0].placement == "streamed"
    assert not any("staged" in what for what in folder.tried)


def test_weights_that_do_not_fit_are_placed_lower() -> None:
    folder = FakeFolder(placements=ALL, capacity=70)
    ladder = ladder_of(folder)
    assert ladder.top == Rung(None, "staged", None)
    assert folder.tried == ["fp32 resident: no", "fp32 staged"]
    assert [each["placement"] for each in folder.loads] == [None, "staged"]


def test_weights_that_fit_nowhere() -> None:
    with pytest.raises(ModelError, match=r"esmfold_v1: its weights do not fit .*--device auto .*MemoryError: 10 of 5"):
        ladder_of(FakeFolder(placements=ALL, capacity=5))


@pytest.mark.parametrize("lost", [False, True], ids=["put-back", "lost"])
def test_model_that_could_not_be_placed_is_loaded_again_if_it_is_lost(lost) -> None:
    folder = FakeFolder(placements=ALL, capacity=130)
    ladder = ladder_of(folder)
    place = folder.place

    def refuse(placement):
        if placement == "staged":
            raise WeightsLostError("they are gone") if lost else MemoryError("no room to load")
        place(placement)

    folder.place = refuse
    assert fold(ladder, make_records(100)[0])[0] == Rung(None, "streamed", None)
    assert [each["placement"] for each in folder.loads] == ([None, "streamed"] if lost else [None])


@pytest.mark.parametrize("error", [ValueError("shapes differ"), InputError("no residue")], ids=["bug", "input"])
def test_other_errors_are_no_reason_to_step_down(error) -> None:
    def before(record):
        raise error

    folder = FakeFolder(placements=ALL, before=before)
    with pytest.raises(type(error), match=str(error)):
        fold(ladder_of(folder), make_records(100)[0])
    assert folder.placement == "resident"


def test_attempt_is_let_go_of_before_the_next() -> None:
    held: list[weakref.ref] = []

    def attempt(model, rung):
        assert not held or held[-1]() is None
        big = np.zeros(10)
        held.append(weakref.ref(big))
        cycle: list = [big]
        cycle.append(cycle)
        if len(held) < 4:
            raise MemoryError
        return rung

    gc.disable()
    try:
        _, notes = ladder_of(FakeFolder(placements=ALL)).fold(make_records(100)[0], attempt)
    finally:
        gc.enable()
    assert notes["attempts"] == 4


def test_options_reach_every_load() -> None:
    folder = FakeFolder(placements=ALL, capacity=70)
    ladder_of(folder, memory="8GB", host_memory=2**30, device="cpu", precision="int8")
    first = {"memory": "8GB", "host_memory": 2**30, "device": "cpu", "precision": "int8", "placement": None}
    assert folder.loads == [{**first, "length": 100}]


# With a budget that is planned


def planned(limits: dict[str, int], **options) -> FakeFolder:
    """Refuses records of more tokens than its precision is planned to have room for."""

    def before(record):
        if record.num_tokens > limits[folder.precision]:
            raise BudgetError(f"{folder.precision} has room for {limits[folder.precision]}")

    folder = FakeFolder(before=before, **options)
    return folder


def test_record_without_planned_room_is_told_so() -> None:
    with pytest.raises(BudgetError, match="fp32 has room for 50"):
        fold(ladder_of(planned({"fp32": 50}, placements=ALL)), make_records(60)[0])


def test_record_without_planned_room_is_folded_in_an_allowed_precision() -> None:
    folder = planned({"fp32": 50, "int8": 70})
    ladder = ladder_of(folder, allow_precision=("int8",), memory="8GB")
    long, short, longer, longest = make_records(60, 10, 65, 80)
    assert fold(ladder, long)[0] == Rung("int8", "resident", None)
    assert fold(ladder, longer)[0] == Rung("int8", "resident", None)
    assert [each["precision"] for each in folder.loads] == [None, "int8"]  # once refused, not asked again
    assert fold(ladder, short)[0] == Rung(None, "resident", None)
    with pytest.raises(BudgetError, match="int8 has room for 70"):
        fold(ladder, longest)
    assert [each["length"] for each in folder.loads] == [100, 60, 100, 60]


def test_what_was_refused_or_too_high_is_so_for_records_of_equal_length() -> None:
    folder = planned({"fp32": 50, "int8": 70})
    ladder = ladder_of(folder, allow_precision=("int8",), memory="8GB")
    first, second = make_records(60, 60)
    assert fold(ladder, first)[0] == fold(ladder, second)[0] == Rung("int8", "resident", None)
    assert [each["precision"] for each in folder.loads] == [None, "int8"]
    folder = FakeFolder(placements=("resident",), capacity=needed("fp32", "resident", 100, 4))
    ladder = ladder_of(folder)
    first, second = make_records(100, 100)
    assert [fold(ladder, record)[1]["attempts"] for record in (first, second)] == [2, 1]


def test_precision_is_loaded_with_room_for_its_record() -> None:
    """Or not at all, which is no reason not to load it for a shorter one."""
    folder = planned({"fp32": 50, "int8": 1000})

    def load(model, *, length, **options):
        if options["precision"] == "int8" and length > 70:
            raise BudgetError("nothing fits")
        return folder.load(model, length=length, **options)

    ladder = Ladder(load, RunOptions(allow_precision=("int8",), memory="8GB"), 100)
    long, middle = make_records(80, 60)
    with pytest.raises(BudgetError, match="fp32 has room for 50"):
        fold(ladder, long)
    assert fold(ladder, middle)[0].precision == "int8"


def test_placement_that_the_model_changed_to_keep_its_budget_is_taken_over() -> None:
    def before(record):
        if record.num_tokens > 50:
            folder.place("staged")

    folder = FakeFolder(placements=ALL, before=before)
    ladder = ladder_of(folder)
    assert fold(ladder, make_records(60)[0])[1]["placement"] == "staged"
    assert ladder.top.placement == "staged"
    folder.tried.clear()
    assert fold(ladder, make_records(20)[0])[1]["placement"] == "staged"
    assert folder.tried == ["r0 fp32 staged None"]


def test_model_that_broke_while_it_placed_itself_is_loaded_again() -> None:
    class Fragile(FakeFolder):
        def fold(self, sequence, **options):
            if len(self.loads) == 1:
                raise WeightsLostError("they are gone")
            return super().fold(sequence, **options)

    folder = Fragile(placements=ALL)
    assert fold(ladder_of(folder), make_records(60)[0])[1]["attempts"] == 2
    assert len(folder.loads) == 2


def test_record_is_tried_where_what_helped_before_is_gone() -> None:
    folder = FakeFolder(capacity=110)
    gone = []

    def load(model, *, precision, **options):
        if precision == "int8" and gone:
            raise InputError("no more")
        return folder.load(model, precision=precision, **options)

    ladder = Ladder(load, RunOptions(allow_precision=("int8",)), 100)
    assert fold(ladder, make_records(60)[0])[0].precision == "int8"
    assert fold(ladder, make_records(5)[0])[0].precision is None
    gone.append(True)
    folder.capacity = 1000
    assert fold(ladder, make_records(60)[0])[0].precision is None
