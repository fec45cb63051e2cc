"""An allocator that fails at its n-th request, all through a fold: nothing leaks, and nothing is broken after it.

What operations make counts as requested, views apart. What kernels ask for inside themselves does not: an operation
that fails there has made nothing, as if its own result had been refused.
"""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import lowmem_fold
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.folder import Folder
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.residency import PLACEMENTS
from lowmem_fold.residency.transport import CpuTransport
from lowmem_fold.run.folding import fold_records
from lowmem_fold.run.options import RunOptions
from lowmem_fold.sequences.fasta import parse_sequence

RECORD = parse_sequence("MKTAYIAKQRQGXWLE", "one")  # an unknown residue among them
KINDS = (torch.OutOfMemoryError, MemoryError)  # in turns


@cache
def _makes_tensors(func: Any) -> bool:
    """Whether an operation returns storage of its own."""
    return any(each.alias_info is None and "Tensor" in str(each.type) for each in func._schema.returns)


class FailingAllocator(TorchDispatchMode):
    """Raises at the n-th new storage, and knows how many of those made within are still there."""

    def __init__(self, fails_at: int | None = None, kind: type[Exception] = MemoryError) -> None:
        super().__init__()
        self.requests = 0
        self._fails_at, self._kind = fails_at, kind
        self._made: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if _makes_tensors(func):
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self._count(tensor.untyped_storage(), func)
        return result

    def _count(self, storage: torch.UntypedStorage, func: Any) -> None:
        if not storage.nbytes():
            return
        known = self._made.get(storage._cdata)
        if known is not None and known() is storage:
            return
        self._made[storage._cdata] = weakref.ref(storage)
        self.requests += 1
        if self.requests == self._fails_at:
            raise self._kind(f"out of memory at request {self.requests}, in {func}")

    @property
    def live(self) -> int:
        """Storages made within that still exist."""
        return sum(storage() is not None for storage in self._made.values())


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Two blocks, and of all that repeats for the same code one."""
    config = small_config()
    config.num_hidden_layers = 1
    config.esmfold_config.trunk.structure_module.num_blocks = 1
    path = tmp_path_factory.mktemp("faults")
    random_model(config).save_pretrained(path)
    return path


def numbers(prediction: Prediction) -> list[np.ndarray]:
    return [prediction.positions, prediction.atom_plddt, prediction.pae, np.array(prediction.ptm)]


def fold(folder: Folder, num_recycles: int) -> list[np.ndarray]:
    return numbers(folder.fold(RECORD, num_recycles=num_recycles))


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def written(folder: Folder) -> list[tuple[int, int]]:
    """Where each weight lies, and how often it was written to."""
    return [(tensor.data_ptr(), tensor._version) for tensor in folder.model.state_dict().values()]


def test_what_counts_as_a_request() -> None:
    with FailingAllocator() as allocator:
        a = torch.zeros(4)
        b = a.view(2, 2)[0].add_(1)
        c, d = torch.max(torch.ones(2, 2), 0)
        assert (allocator.requests, allocator.live) == (4, 3)  # the ones are gone
        torch.empty(0)
    assert allocator.requests == 4
    del a, b, c, d
    assert allocator.live == 0


@pytest.fixture(scope="module", params=PLACEMENTS)
def folder(model: Path, request: pytest.FixtureRequest) -> Folder:
    loaded = lowmem_fold.load(str(model), placement=request.param)
    fold(loaded, 1)  # makes the tables that stay with the process
    return loaded


def requests_of(folder: Folder, num_recycles: int) -> int:
    with FailingAllocator() as allocator:
        fold(folder, num_recycles)
    return allocator.requests


def check_faults(folder: Folder, num_recycles: int, numbers_of_requests: range) -> None:
    """Each fault is a clean failure that leaves nothing, in reference cycles neither, and the model as it was."""
    expected, before = fold(folder, num_recycles), written(folder)
    gc.disable()
    try:
        for number in numbers_of_requests:
            allocator = FailingAllocator(number, KINDS[number % 2])
            with pytest.raises(KINDS[number % 2], match=f"at request {number},"), allocator:
                fold(folder, num_recycles)
            assert allocator.live == 0, number
    finally:
        gc.enable()
    assert folder.placement != "resident" or written(folder) == before
    assert same(fold(folder, num_recycles), expected)


def test_faults_all_through_a_fold(folder: Folder) -> None:
    """At every 11th request of a resident model, each kind of update among them; where weights are moved, at every
    37th: the arithmetic is the same."""
    requests = requests_of(folder, 0)
    assert requests > 1000
    check_faults(folder, 0, range(1, requests + 1, 11 if folder.placement == "resident" else 37))


@pytest.mark.soak
def test_fault_at_every_request(folder: Folder) -> None:
    check_faults(folder, 0, range(1, requests_of(folder, 0) + 1))


def test_fault_while_recycling(folder: Folder) -> None:
    """A second pass has nothing new but its start: every 3rd request there."""
    first, both = (requests_of(folder, number) for number in (0, 1))
    stem_and_pass = both - first + 50
    check_faults(folder, 1, range(stem_and_pass, stem_and_pass + 60, 3))


@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_fault_where_weights_are_brought(model: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """In the thread beside the arithmetic, at every layer that a fold asks for."""
    folder = lowmem_fold.load(str(model), placement="streamed")
    expected, fetch, calls = fold(folder, 1), CpuTransport.fetch, []

    def failing(self: CpuTransport, number: int) -> list[torch.Tensor]:
        calls.append(number)
        if len(calls) == call + 1:
            raise MemoryError("no room for a layer")
        return fetch(self, number)

    monkeypatch.setattr(CpuTransport, "fetch", failing)
    with pytest.raises(MemoryError, match="no room for a layer"):
        fold(folder, 1)
    assert same(fold(folder, 1), expected)


def run(model: Path, out: Path, faults: list[int], placement: str, stem_faults: list[int]) -> dict[str, Any]:
    """A run of one record, whose first attempts fail at these requests; the line of the record."""
    loaded: list[Folder] = []

    def load(*arguments: Any, **keywords: Any) -> Folder:
        folder = lowmem_fold.load(*arguments, **keywords)
        folder.fold = failing(folder.fold, faults)  # type: ignore[method-assign]
        folder.stem_states = failing(folder.stem_states, stem_faults)  # type: ignore[method-assign]
        loaded.append(folder)
        return folder

    options = RunOptions(model=str(model), placement=placement, num_recycles=0, device="cpu")
    assert fold_records([RECORD], out, options, load=load).folded == ["one"]
    assert len(loaded) == 1  # its weights were placed again, not lost
    (line,) = map(json.loads, (out / "scores.jsonl").read_text().splitlines())
    names = {"config.json", "lowmem_fold.log", "one.pdb", "one.scores.json", "scores.jsonl", "scores.csv"}
    assert {path.name for path in out.iterdir()} == names
    return line


def failing(call: Callable[..., Any], faults: list[int]) -> Callable[..., Any]:
    """The call; its first ones fail at these requests."""
    left = list(faults)

    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        if not left:
            return call(*arguments, **keywords)
        number = left.pop(0)
        with FailingAllocator(number, KINDS[number % 2]):
            return call(*arguments, **keywords)

    return wrapper


@pytest.mark.parametrize("part", [0.0, 0.2, 0.6, 1.0])
def test_run_goes_on_in_low_blocks(model: Path, tmp_path: Path, part: float) -> None:
    """Where no smaller placement is left."""
    folder = lowmem_fold.load(str(model), placement="streamed")
    states = folder.stem_states([RECORD])[0]
    with FailingAllocator() as allocator:
        folder.fold(RECORD, states=states, num_recycles=0)
    number = 1 + int(part * (allocator.requests - 1))
    line = run(model, tmp_path / "out", [number], "streamed", [])
    assert (line["attempts"], line["placement"], line["chunk_size"]) == (2, "streamed", 4)
    expected = folder.fold(RECORD, num_recycles=0, chunk_size=4).to_pdb()
    assert (tmp_path / "out" / "one.pdb").read_text() == expected


@pytest.mark.parametrize(("faults", "placement"), [(1, "staged"), (2, "streamed")], ids=["staged", "streamed"])
def test_run_goes_on_in_another_placement(model: Path, tmp_path: Path, faults: int, placement: str) -> None:
    folder = lowmem_fold.load(str(model))
    line = run(model, tmp_path / "out", list(range(200, 200 + faults)), "resident", [])
    assert (line["attempts"], line["placement"], line["chunk_size"]) == (faults + 1, placement, None)
    assert (tmp_path / "out" / "one.pdb").read_text() == folder.fold(RECORD, num_recycles=0).to_pdb()


@pytest.mark.parametrize("number", [1, 20, 60])
def test_run_goes_on_when_the_stem_fails(model: Path, tmp_path: Path, number: int) -> None:
    folder = lowmem_fold.load(str(model))
    line = run(model, tmp_path / "out", [], "staged", [number])
    assert (line["attempts"], line["placement"]) == (1, "streamed")
    assert (tmp_path / "out" / "one.pdb").read_text() == folder.fold(RECORD, num_recycles=0).to_pdb()
