"""The product of LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339) in plain torch, as bitsandbytes computes it.

The rows of the input are rounded to int8 by their largest magnitude, and the integers multiplied. Columns of the input
that hold a value of magnitude 6 or more are left out of that and multiplied in the input's own precision.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

__all__ = ["dequantized", "linear"]

# The published threshold, and transformers' `llm_int8_threshold`; `bitsandbytes.nn.Linear8bitLt` by itself has 0, which
# holds no column out and lets one large value flatten its row.
OUTLIER = 6.0
# bitsandbytes' constant for 1 / 127 in `int8_vectorwise_dequant`
PER_UNIT = 7.874015718698502e-3
# The smallest magnitude of float16 but zero: keeps a row of zeros from being divided by zero.
SMALLEST = 2.0**-24
# Rows of the matrix that are turned into float32 at a time, where there is no product of integers
ROWS = 512


def dequantized(data: Tensor, absmax: Tensor) -> Tensor:
    """float32 values of int8 rows (n, in) with the largest magnitudes (n,)."""
    return data * absmax[:, None] * PER_UNIT


def linear(x: Tensor, data: Tensor, absmax: Tensor, bias: Tensor | None) -> Tensor:
    """x @ W.T + bias in x's dtype, for x (..., in) and W as int8 rows (out, in) with the largest magnitudes (out,).

    Sums and scales are float32 whatever x is; bitsandbytes rounds them to float16 on CUDA. On a CPU its kernel takes
    6.200124e-05 for 1 / 127^2, which is 1.8e-5 too much.
    """
    rows = x.reshape(-1, x.shape[-1])
    codes, row_absmax, outliers = _quantized(rows)
    y = _integer_product(codes, data) * (row_absmax[:, None] * absmax)
    y *= 1 / 127**2
    if bias is not None:
        y += bias
    if outliers.numel():
        y += rows[:, outliers] @ dequantized(data[:, outliers], absmax).to(x.dtype).t()
    return y.to(x.dtype).view(*x.shape[:-1], len(data))


def _quantized(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """int8 codes of x (n, in), the largest magnitude (n,) of each row without outliers, and the outliers' columns.

    From values rounded to float16, as bitsandbytes has it; what float16 cannot hold is an outlier.
    """
    half = x.half()
    is_outlier = half.abs() >= OUTLIER
    half = half.masked_fill(is_outlier, 0)
    outliers = _columns(is_outlier)
    row_absmax = half.abs().amax(dim=1).float()
    codes = half.mul(127.0 / row_absmax.clamp(min=SMALLEST)[:, None]).round_().to(torch.int8)
    codes[:, outliers] = 0
    return codes, row_absmax, outliers


def _columns(is_outlier: Tensor) -> Tensor:
    """Columns with an outlier; none among tensors that hold no values: a plan counts no outliers."""
    if is_outlier.is_meta or isinstance(is_outlier, FakeTensor):
        return is_outlier.new_empty(0, dtype=torch.int64)
    return is_outlier.any(dim=0).nonzero().view(-1)


def _integer_product(codes: Tensor, data: Tensor) -> Tensor:
    """codes (n, in) @ data (out, in).T of int8: int32, or float32 where this device has no such product."""
    if _has_int_mm(codes, data):
        return torch._int_mm(codes, data.t())
    x = codes.float()
    y = x.new_empty(len(x), len(data))
    for start in range(0, len(data), ROWS):
        y[:, start : start + ROWS] = F.linear(x, data[start : start + ROWS].float())
    return y


def _has_int_mm(codes: Tensor, data: Tensor) -> bool:
    """On a CPU without AVX-512 it is a scalar loop; on CUDA it needs more than 16 rows and multiples of 8."""
    if codes.device.type == "cpu":
        return torch.backends.cpu.get_cpu_capability() == "AVX512"
    multiples_of_8 = all(n % 8 == 0 for n in data.shape)
    return codes.device.type == "cuda" and len(codes) > 16 and multiples_of_8
