"""Live-byte peaks of the engine, which may not grow: `python -m benchmarks.live_bytes` writes what its test holds.

ESMFold v1's dimensions, three passes after the first, blocks of a CPU, in every preset and with each pair-state option;
bytes above the weights, by the real code on tensors without bytes (`lowmem_fold.esmfold.skeleton`). They are exact:
no run differs from another, and torch 2.6 and 2.13 (transformers 5.8 and 5.23) agree to the byte. The file names the
versions that were seen to agree; with another one the command adds its name, or writes the figures anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import torch

from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.esmfold.skeleton import Skeleton
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.precision import PRESETS, parse_precision

__all__ = ["COMMAND", "FIGURES", "LENGTHS", "PRECISIONS", "changes", "peaks", "torch_release"]

FIGURES = Path(__file__).parent.parent / "tests" / "esmfold" / "live_bytes.json"
COMMAND = "python -m benchmarks.live_bytes"
LENGTHS = (128, 512, 1500)
PRECISIONS = (*PRESETS, "pair=bf16", "operand=bf16")
_CPU = torch.device("cpu")

Peaks = dict[str, dict[str, int]]
"""Bytes by length (a string, as in JSON) and phase."""


@cache
def _skeleton() -> Skeleton:
    return Skeleton(esmfold_v1_config().to_dict())


def peaks(precision: str) -> Peaks:
    """Of stem, trunk and heads at each of LENGTHS."""
    resolved, tiling = parse_precision(precision).resolve(_CPU), Tiling.for_device(_CPU)
    return {str(length): _skeleton().activations(length, resolved, tiling) for length in LENGTHS}


def torch_release() -> str:
    """Of the torch that is here, such as "2.13"."""
    return ".".join(torch.__version__.split(".")[:2])


def changes(precision: str, found: Peaks, committed: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A sentence for each figure that is not as committed: what it was, what it is, and what to do."""
    for length, phases in found.items():
        for phase, size in phases.items():
            before = committed.get(length, {}).get(phase)
            if size != before:
                yield f"{precision}, {length} residues, {phase}: {_told(before, size)}"


def _told(before: int | None, size: int) -> str:
    if before is None:
        return f"{size:,} bytes, none committed: run `{COMMAND}`"
    if size > before:
        return f"{before:,} bytes grew to {size:,} (+{size - before:,}): let the engine hold less"
    return f"{before:,} bytes shrank to {size:,}: good; run `{COMMAND}` and commit {FIGURES.name}, so that it stays so"


def main() -> None:
    found = {precision: peaks(precision) for precision in PRECISIONS}
    before = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    seen = before["torch"] if before.get("peak_bytes") == found else []
    written = {"written_by": COMMAND, "torch": sorted({*seen, torch_release()}, key=_number), "peak_bytes": found}
    FIGURES.write_text(json.dumps(written, indent=1) + "\n")
    print(f"{FIGURES}: {'as it was' if seen else 'written anew'}, torch {', '.join(written['torch'])}")


def _number(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]


if __name__ == "__main__":
    main()
