"""What is freed between blocks that stay is given back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, sys
import torch
from benchmarks.loading import anonymous_bytes
from lowmem_fold.memory.heap import large_blocks_returned

MIB = 2**20

def ones(mib):
    return torch.ones(mib * MIB // 4)

temporary = ones(30)
del temporary  # from now on glibc takes such blocks from its heap
before = anonymous_bytes()
with large_blocks_returned() if sys.argv[1] == "returned" else contextlib.nullcontext():
    kept = []
    for mib in range(2, 16):  # each temporary one too large for the hole that the last has left
        temporary = ones(mib)
        kept.append(ones(1))
        del temporary
print((anonymous_bytes() - before) / MIB)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_blocks_are_returned() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def kept(how: str) -> float:
        run = [sys.executable, "-c", PROGRAM, how]
        return float(subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout)

    assert kept("returned") < 14 + 4  # what is held, and a little
    assert kept("as ever") > 14 + 12  # how much depends on what was freed before
