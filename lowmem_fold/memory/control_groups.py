"""Limits of memory that Linux's control groups set for a process, in versions 1 and 2 (kernel documentation,
admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["GroupLimit", "group_limits"]


@dataclass(frozen=True)
class GroupLimit:
    """The limit of one group.

    Attributes
    ----------
    file : Path
        Which states it.
    limit_bytes : int
    free_bytes : int
        What the group has left; cached files count as free, since the kernel gives them back.
    """

    file: Path
    limit_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class _Version:
    """Names of the files of a version, and of the statistic of cached files, below the mounts that it may have."""

    mounts: tuple[str, ...]
    limit: str
    usage: str
    cached: str


_V1 = _Version(("memory",), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Version(("", "unified"), "memory.max", "memory.current", "inactive_file")


def group_limits(root: Path, membership: Path) -> Iterator[GroupLimit]:
    """Yield the limits of a process's groups, from its own up to the root of each hierarchy.

    Parameters
    ----------
    root : Path
        Where control groups are mounted, ``/sys/fs/cgroup``.
    membership : Path
        ``/proc/self/cgroup``. What it names may not be visible below ``root``, as in a container with a namespace of
        its own: then the limits of the groups above, down to the root of the mount, are the ones that are seen.
    """
    for version, group in (*_memberships(membership), (_V2, "/"), (_V1, "/")):
        for mount in version.mounts:
            yield from _limits(root / mount, group, version)


def _memberships(file: Path) -> Iterator[tuple[_Version, str]]:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            yield _V2, group
        elif "memory" in controllers.split(","):
            yield _V1, group


def _limits(mount: Path, group: str, version: _Version) -> Iterator[GroupLimit]:
    path = PurePosixPath(group.lstrip("/"))
    if ".." in path.parts:  # a group outside of this process's namespace
        path = PurePosixPath()
    for part in (path, *path.parents):
        folder = mount / part
        limit = _number(folder / version.limit)
        if limit is not None:
            used = (_number(folder / version.usage) or 0) - _cached(folder / "memory.stat", version.cached)
            yield GroupLimit(folder / version.limit, limit, max(limit - used, 0))


def _number(file: Path) -> int | None:
    """None of a missing file, and of "max", which is no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _cached(file: Path, name: str) -> int:
    try:
        found = re.search(rf"^{name} (\d+)$", file.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
