"""What a machine, a container and a batch job leave of main memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lowmem_fold.cli import info
from lowmem_fold.memory import capacity
from lowmem_fold.memory.capacity import Capacity, host_capacity, usable_bytes
from lowmem_fold.memory.limit import CUDA_CONTEXT_BYTES
from lowmem_fold.planning.budget import Budget

GIB = 2**30
TOTAL, FREE = 24 * GIB, 20 * GIB
UNLIMITED_V1 = 2**63 - 4096  # what a kernel of 4 KiB pages states of a group without a limit


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Make a machine, whose process is in the groups that are given as lines of /proc/self/cgroup."""
    (tmp_path / "meminfo").write_text(f"MemTotal: {TOTAL // 1024} kB\nMemAvailable: {FREE // 1024} kB\n")
    monkeypatch.setattr(capacity, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(capacity, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(capacity, "_MEMBERSHIP", tmp_path / "membership")

    def make(*membership: str) -> Path:
        (tmp_path / "membership").write_text("".join(f"{line}\n" for line in membership))
        return tmp_path / "cgroup"

    return make


def group(folder: Path, limit: int | str, used: int = 0, cached: int = 0, version: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cached}\n")
    return folder / names[0]


def test_without_groups_the_machine_decides(machine: Callable[..., Path]) -> None:
    machine()
    assert host_capacity() == Capacity(TOTAL, FREE, None)


def test_a_container_sees_its_limit_at_the_root(machine: Callable[..., Path]) -> None:
    file = group(machine("0::/"), 4 * GIB, used=3 * GIB, cached=GIB)
    assert host_capacity() == Capacity(4 * GIB, 2 * GIB, str(file))


@pytest.mark.parametrize("version", [1, 2])
def test_a_batch_job_has_its_limit_in_a_nested_group(machine: Callable[..., Path], version: int) -> None:
    """As Slurm makes them: the job's group has the limit, the task's own has none."""
    path = "slurm/uid_1/job_7/step_batch/task_0"
    root = machine(f"4:memory:/{path}" if version == 1 else f"0::/{path}")
    none = UNLIMITED_V1 if version == 1 else "max"
    root = root / "memory" if version == 1 else root
    group(root / path, none, used=GIB, version=version)
    file = group(root / "slurm/uid_1/job_7", 4 * GIB, used=GIB, version=version)
    group(root, none, used=9 * GIB, version=version)
    assert host_capacity() == Capacity(4 * GIB, 3 * GIB, str(file))


def test_the_group_that_leaves_least_holds(machine: Callable[..., Path]) -> None:
    root = machine("0::/outer/inner")
    group(root / "outer/inner", 4 * GIB, used=GIB)
    file = group(root / "outer", 8 * GIB, used=7 * GIB)
    assert host_capacity() == Capacity(4 * GIB, GIB, str(file))


@pytest.mark.parametrize("membership", ["0::/not/seen/here", "0::/../../outside", "7:cpu:/x", ""])
def test_a_group_that_is_not_seen_leaves_those_above(machine: Callable[..., Path], membership: str) -> None:
    file = group(machine(membership), 4 * GIB)
    assert host_capacity() == Capacity(4 * GIB, 4 * GIB, str(file))


def test_in_a_hybrid_hierarchy_both_versions_are_looked_at(machine: Callable[..., Path]) -> None:
    root = machine("5:cpu,memory:/job", "0::/job")
    group(root / "unified" / "job", "max")
    file = group(root / "memory" / "job", 2 * GIB, version=1)
    assert host_capacity() == Capacity(2 * GIB, 2 * GIB, str(file))


def test_a_limit_above_the_machine_is_none(machine: Callable[..., Path]) -> None:
    group(machine("0::/"), 2 * TOTAL, used=GIB)
    assert host_capacity() == Capacity(TOTAL, FREE, None)


def test_more_than_the_limit_may_be_in_use(machine: Callable[..., Path]) -> None:
    group(machine("0::/"), GIB, used=2 * GIB)
    assert host_capacity().free_bytes == 0


def test_info_says_which_limit_holds(machine: Callable[..., Path]) -> None:
    file = group(machine("0::/"), 4 * GIB)
    assert info._sizes(info.collect()["memory"]) == f"4.0 GiB, 4.0 GiB free (limit of {file})"


def test_on_cuda_neither_context_nor_cache_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card of 7.65 GiB, of which this process has its context, and a GiB in torch's allocator, a quarter in use."""
    total, free, reserved, allocated = int(7.65 * GIB), int(6.15 * GIB), GIB, GIB // 4
    limits = []
    for name, answer in {
        "mem_get_info": (free, total),
        "memory_reserved": reserved,
        "memory_allocated": allocated,
        "current_device": 0,
        "get_device_properties": SimpleNamespace(total_memory=total),
        "get_per_process_memory_fraction": 1.0,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer, raising=False)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda part, index: limits.append(part * total))
    usable = usable_bytes(torch.device("cuda"))
    assert usable == free + (reserved - allocated) + CUDA_CONTEXT_BYTES
    with Budget(usable, torch.device("cuda"), dict, int, 0, held_bytes=allocated).enforced():
        assert round(limits[0]) == free + reserved  # all that the allocator can have, and has
