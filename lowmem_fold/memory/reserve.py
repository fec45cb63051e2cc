"""What a budget has to hold beside tensors."""

from __future__ import annotations

from .limit import CUDA_CONTEXT_BYTES

__all__ = ["reserve_bytes"]

CUDA_WORKSPACE_BYTES = 32 * 2**20
"""cuBLAS's workspace on Hopper, which torch takes from its own allocator; earlier cards get a quarter. From torch's
documentation of CUBLAS_WORKSPACE_CONFIG, not measured."""
CUDA_SEGMENT_BYTES = 32 * 2**20
CUDA_ROUNDING = 0.008
"""What torch's allocator takes from a card beyond the peak of all tensors, at least, and as a share of that peak: parts
of its segments that nothing fits into. With them a budget is within 1 % of what a simulation of the allocator needs
for the requests of a fold of 64 to 2,048 residues (`tests/memory/test_reserve.py`). Not yet measured on a card."""
PROCESS_BYTES = 330 * 2**20
"""Anonymous memory of a process that has imported torch and transformers and folded a short protein, less the weights:
312 to 324 MiB of the demo model in `benchmarks/results/sweep-demo.jsonl`, with torch 2.13 on Linux. bitsandbytes takes
up to 30 MiB more, and random weights of ESMFold v1's size up to 170 (`sweep-stand-in.jsonl`): neither is planned."""


def reserve_bytes(device: str, peak_bytes: int) -> int:
    """What a budget has to hold besides the peak of all tensors: on CUDA its context, workspaces of its libraries and
    what the allocator cannot use of its blocks; else the process itself."""
    if device.startswith("cuda"):
        return CUDA_CONTEXT_BYTES + CUDA_WORKSPACE_BYTES + CUDA_SEGMENT_BYTES + int(CUDA_ROUNDING * peak_bytes)
    return PROCESS_BYTES
