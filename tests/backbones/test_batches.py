"""Batches: of like lengths, within the room, halved where memory runs out, and nothing left out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lowmem_fold.backbones import batches
from lowmem_fold.backbones.batches import plan_batches, run_batches
from lowmem_fold.backbones.room import Room
from lowmem_fold.errors import BudgetError, InputError, WeightsLostError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Collecting garbage takes a while among the tests' objects."""
    monkeypatch.setattr(batches, "release_memory", lambda: None)


class FakeBackbone:
    """A model whose activations take 1 byte a token; `capacity` tokens have room on the device, by placement."""

    device = torch.device("cpu")
    room_bytes = None
    runs_alone = False

    def __init__(self, capacity: dict[str, int], room_bytes: int | None = None) -> None:
        self.placements = tuple(capacity)
        self.placement = self.placements[0]
        self.room_bytes = room_bytes
        self.capacity = capacity
        self.runs: list[tuple[str, int]] = []

    def peak_bytes(self, batch: int, tokens: int, logits: bool) -> int:
        return batch * tokens

    def place(self, placement: str) -> None:
        if self.capacity[placement] < 0:
            raise InputError("cannot be had")
        self.placement = placement

    def run(self, tokens: int) -> None:
        self.runs.append((self.placement, tokens))
        if tokens > self.capacity[self.placement]:
            raise torch.OutOfMemoryError("no room")


def ran(backbone, lengths, **options):
    """Indices in the order in which they were delivered."""
    delivered: list[int] = []

    def run(batch):
        backbone.run(len(batch) * max(lengths[index] for index in batch))
        delivered.extend(batch)

    run_batches(backbone, lengths, run, **options)
    return delivered


def test_batches_are_of_like_lengths_and_within_the_room():
    lengths = [(37 * index) % 90 + 10 for index in range(300)]
    planned = plan_batches(lengths, lambda tokens: max(1, 256 // tokens))
    assert sorted(index for batch in planned for index in batch) == list(range(300))
    for batch in planned:
        sizes = [lengths[index] for index in batch]
        assert sizes == sorted(sizes, reverse=True)
        assert len(batch) == 1 or len(batch) * sizes[0] <= 256
        assert len(batch) * sizes[0] - sum(sizes) <= len(batch) * sizes[0] / 8
    longest = [lengths[batch[0]] for batch in planned]
    assert longest == sorted(longest, reverse=True)


def test_padding_may_be_allowed():
    assert plan_batches([100, 10, 10], lambda tokens: 5) == [[0], [1, 2]]
    assert plan_batches([100, 10, 10], lambda tokens: 5, most_padding=1.0) == [[0, 1, 2]]
    assert plan_batches([], lambda tokens: 5) == []


def test_none_has_room():
    assert plan_batches([5, 5], lambda tokens: 0) == [[0], [1]]


def test_memory_that_runs_out_halves_batches():
    backbone = FakeBackbone({"resident": 35, "streamed": 100})
    assert sorted(ran(backbone, [10] * 20, max_tokens=160)) == list(range(20))
    assert backbone.placement == "resident"
    sizes = [tokens for _, tokens in backbone.runs]
    assert sizes == [160, 80, 40, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20]  # what has failed is not tried again


def test_single_sequence_steps_the_placement_down():
    backbone = FakeBackbone({"resident": 35, "staged": -1, "streamed": 100})
    assert sorted(ran(backbone, [90, 90, 30], max_tokens=100)) == [0, 1, 2]
    assert backbone.runs == [("resident", 90), ("streamed", 90), ("streamed", 90), ("streamed", 30)]


def test_what_has_room_nowhere_is_told_and_the_rest_is_run():
    backbone = FakeBackbone({"resident": 35, "streamed": 100})
    failures = {}
    delivered = ran(backbone, [200, 90, 30, 30], max_tokens=400, failed=lambda i, e: failures.setdefault(i, str(e)))
    assert sorted(delivered) == [1, 2, 3]
    assert failures == {0: "no room"}
    with pytest.raises(
        BudgetError, match="a sequence of 200 tokens does not fit in memory by itself, with resident weights"
    ):
        ran(FakeBackbone({"resident": 35}), [200])


def test_lost_weights_are_not_every_sequences_failure():
    backbone = FakeBackbone({"resident": 35, "streamed": 100})

    def lost(placement):
        raise WeightsLostError("gone")

    backbone.place = lost
    failures = []
    with pytest.raises(WeightsLostError, match="gone"):
        ran(backbone, [90, 30, 30], failed=lambda *failure: failures.append(failure))
    assert not failures and len(backbone.runs) == 1


@pytest.mark.parametrize("error", [RuntimeError("of one"), ValueError("other")], ids=["runtime", "value"])
def test_one_that_fails_does_not_fail_the_others(error):
    delivered, failures = [], []

    def run(batch):
        if 3 in batch:
            raise error
        delivered.extend(batch)

    backbone = FakeBackbone({"resident": 100})
    run_batches(backbone, [10] * 8, run, failed=lambda index, found: failures.append((index, found)))
    assert sorted(delivered) == [0, 1, 2, 4, 5, 6, 7]
    assert failures == [(3, error)]
    with pytest.raises(type(error)):
        run_batches(backbone, [10] * 8, run)


def test_full_disk_is_nobodys_failure():
    def run(batch):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        run_batches(FakeBackbone({"resident": 100}), [10], run, failed=lambda index, error: None)


def test_room_is_what_is_worthwhile_and_planned_to_fit():
    backbone = FakeBackbone({"resident": 0}, room_bytes=1000)
    assert Room(backbone)(10) == 100  # of 1000 bytes
    assert Room(backbone, max_tokens=320)(10) == 32
    assert Room(backbone, kept_bytes=lambda tokens: tokens)(10) == 50
    assert Room(backbone)(5000) == 1
    assert Room(FakeBackbone({"resident": 0}))(100) == 20  # of 2048 tokens, with plenty of memory


def test_plans_are_made_for_few_lengths():
    asked = []
    backbone = FakeBackbone({"resident": 0}, room_bytes=10**9)
    backbone.peak_bytes = lambda batch, tokens, logits: asked.append(tokens) or batch * tokens
    room = Room(backbone)
    rooms = [room(tokens) for tokens in range(1, 1025)]
    assert rooms == [2048 // tokens for tokens in range(1, 1025)]
    assert len(asked) <= 8 * 10


def test_plan_for_a_rounded_length_is_no_larger_than_its_own():
    backbone = FakeBackbone({"resident": 0}, room_bytes=1000)
    room = Room(backbone)
    for tokens in range(1, 500):
        assert room(tokens) * tokens <= 1000 and room(tokens) * tokens >= 0.55 * 1000 - tokens


def test_what_has_to_be_alone_is():
    backbone = FakeBackbone({"resident": 1000})
    backbone.runs_alone = True
    assert sorted(ran(backbone, [10] * 3)) == [0, 1, 2]
    assert [tokens for _, tokens in backbone.runs] == [10, 10, 10]


def test_what_a_run_recovers_from_is_not_shown(capsys, caplog):
    """Python shows warnings where nobody asked for a log; what failed for good is logged with its traceback."""
    backbone, failures = FakeBackbone({"resident": 35, "staged": -1, "streamed": 100}), []
    with caplog.at_level("INFO"):
        ran(backbone, [200, 90, 10, 10, 10, 10], failed=lambda index, error: failures.append(index))
    assert failures == [0]
    shown = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert shown == ["memory is short: weights are streamed from here on, no longer resident"]
    assert len([record for record in caplog.records if "a sequence failed\nTraceback" in record.getMessage()]) == 1


def test_logits_are_planned_as_such():
    backbone = SimpleNamespace(device=torch.device("cpu"), room_bytes=50, runs_alone=False)
    backbone.peak_bytes = lambda batch, tokens, logits: (5 if logits else 1) * batch * tokens
    assert (Room(backbone)(10), Room(backbone, logits=True)(10)) == (5, 1)
