"""What is stored of a weight matrix, and how torch alone computes with it: no back end, no compiler.

| format | made by | stored | bits per weight |
|---|---|---|---|
| fp32, fp16, bf16 | torch | data (out, in) | 32, 16, 16 |
| int8 | optimum-quanto | data int8 (out, in); scale float32 (out, 1) | 8 + 32 / in |
| float8 | optimum-quanto | data float8_e4m3fn (out, in); scale float32 (out, 1) | 8 + 32 / in |
| int4 | optimum-quanto | data uint8 (groups / 2, g); scale, shift float32 (groups, 1) | 4 + 64 / g |
| bnb-int8 | bitsandbytes | data int8 (out, in); absmax float32 (out,) | 8 + 32 / in |
| bnb-nf4 | bitsandbytes | data uint8 (n, 32); absmax float32 (n, 1); codebook float32 (16,) | 4.5 + 512 / (out in) |

g is `group_size(in)`, n the number of blocks of 64 weights. What a product does, in a compute dtype of float32, float16
or bfloat16:

- All but bnb-int8 quantize no activations: the input is cast to the compute dtype, the weights are unpacked in float32
  and rounded to it. In float32 that is what the back ends' own modules do. A matrix is unpacked in blocks of rows
  (outputs), each multiplied and dropped: the whole is never held a second time.
- bnb-int8 rounds the rows of the input to int8 too (from float16, by their largest magnitude) and multiplies integers;
  the input's columns with a value of magnitude 6 or more are multiplied in the compute dtype: `llm_int8`. Sums and
  scales are float32. Where the device multiplies int8, no block of weights is unpacked.

Kernels that are lent: bitsandbytes unpacks nf4 on a CPU where it is installed (`bnb.nf4_kernel`), to the same values.
Not lent: quanto's unpacking of int4, which is compiled at its first use; torch's `_weight_int8pack_mm`, which quanto
takes for bfloat16 on a CPU, and which is made for few rows; bitsandbytes' nf4 product on a CPU, which rounds all to
bfloat16 and wants a layout of its own; its kernels on CUDA, which have not been timed against these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from . import bnb, llm_int8

__all__ = ["DTYPES", "FORMATS", "Format", "group_size", "packed", "row_blocks"]

# Weights unpacked at a time (8 MiB in float32): memory of this size is used again by the next block, where that of a
# whole large matrix comes fresh from the system each time.
BLOCK_WEIGHTS = 2**21
# Rows of a block are a multiple of this: then a block starts where a group of 64 values starts, whatever the width.
ROW_MULTIPLE = 64

Tensors = Mapping[str, Tensor]
Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]


def row_blocks(out_features: int, in_features: int) -> Iterator[tuple[int, int]]:
    """First row and end of each block of a matrix (out_features, in_features); the last may be higher by less than
    ROW_MULTIPLE rows, and is lower only if it is the first."""
    height = max(BLOCK_WEIGHTS // in_features // ROW_MULTIPLE, 1) * ROW_MULTIPLE
    start = 0
    while start < out_features:
        stop = start + height if out_features - start >= height + ROW_MULTIPLE else out_features
        yield start, stop
        start = stop


@dataclass(frozen=True)
class Format:
    """How a weight matrix (out_features, in_features) is stored. `name` is its word in a precision policy."""

    name: str
    #: Whether a row of a product depends on the input's other rows.
    mixes_rows: ClassVar[bool] = False

    def tensors(self, out_features: int, in_features: int) -> Layout:
        """Shape and dtype of each stored tensor by its name, in the order in which files hold them."""
        raise NotImplementedError

    def refusal(self, out_features: int, in_features: int) -> str | None:
        """Why a matrix of this shape cannot be stored so, with what to do; None if it can."""
        return None

    def bits_per_weight(self, out_features: int, in_features: int) -> float:
        """Bits of all stored tensors, scales too, per weight."""
        layout = self.tensors(out_features, in_features).values()
        stored_bytes = sum(torch.Size(shape).numel() * dtype.itemsize for shape, dtype in layout)
        return 8 * stored_bytes / (out_features * in_features)

    def joined(self, blocks: Sequence[Tensors]) -> dict[str, Tensor]:
        """The stored tensors of a matrix from those of its `row_blocks`."""
        return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}

    def unpack(self, tensors: Tensors, out_features: int, in_features: int, dtype: torch.dtype) -> Tensor:
        """The matrix (out_features, in_features): computed in float32, as the back end does, and rounded once."""
        weight = torch.empty(out_features, in_features, dtype=dtype, device=tensors["data"].device)
        for start, stop in row_blocks(out_features, in_features):
            weight[start:stop] = self._rows(tensors, start, stop, in_features)
        return weight

    def linear(self, x: Tensor, tensors: Tensors, out_features: int, bias: Tensor | None) -> Tensor:
        """x @ weight.T + bias for x (..., in_features), all of it in x's dtype.

        Held at a time besides x and the result: one block of the matrix and its part of the result.
        """
        y = x.new_empty(*x.shape[:-1], out_features)
        for start, stop in row_blocks(out_features, x.shape[-1]):
            weight = self._rows(tensors, start, stop, x.shape[-1]).to(x.dtype)
            y[..., start:stop] = F.linear(x, weight, None if bias is None else bias[start:stop])
            del weight
        return y

    def _rows(self, tensors: Tensors, start: int, stop: int, in_features: int) -> Tensor:
        """Rows `start` to `stop` of the matrix; `start` is a multiple of ROW_MULTIPLE."""
        raise NotImplementedError


@dataclass(frozen=True)
class Plain(Format):
    """The matrix as it is, in one floating-point dtype."""

    dtype: torch.dtype

    def tensors(self, out_features: int, in_features: int) -> Layout:
        return {"data": ((out_features, in_features), self.dtype)}

    def unpack(self, tensors: Tensors, out_features: int, in_features: int, dtype: torch.dtype) -> Tensor:
        """The matrix (out_features, in_features); the stored tensor itself where it has that dtype."""
        return tensors["data"].to(dtype)

    def linear(self, x: Tensor, tensors: Tensors, out_features: int, bias: Tensor | None) -> Tensor:
        if x.dtype == self.dtype:
            return F.linear(x, tensors["data"], bias)
        return super().linear(x, tensors, out_features, bias)

    def _rows(self, tensors: Tensors, start: int, stop: int, in_features: int) -> Tensor:
        return tensors["data"][start:stop]


@dataclass(frozen=True)
class RowScaled(Format):
    """8-bit values and a float32 scale per row: optimum-quanto's qint8 and qfloat8."""

    dtype: torch.dtype

    def tensors(self, out_features: int, in_features: int) -> Layout:
        return {"data": ((out_features, in_features), self.dtype), "scale": ((out_features, 1), torch.float32)}

    def _rows(self, tensors: Tensors, start: int, stop: int, in_features: int) -> Tensor:
        data, scale = tensors["data"][start:stop], tensors["scale"][start:stop]
        return (_float8_values(data) if data.dtype.is_floating_point else data) * scale


def _float8_values(data: Tensor) -> Tensor:
    """float32 values of a float8 matrix, looked up among the 256 there are: torch's conversion is slow on a CPU."""
    table = torch.arange(256, dtype=torch.uint8, device=data.device).view(data.dtype).float()
    return table.index_select(0, data.view(torch.uint8).flatten().int()).view(data.shape)


@dataclass(frozen=True)
class Grouped(Format):
    """4-bit values, a float32 scale and shift per group of a row's values: optimum-quanto's qint4.

    A value is scale * code - shift. The groups of all rows in order are cut in two halves: a byte holds a code of the
    first half in its low bits, and of the second in its high bits.
    """

    def tensors(self, out_features: int, in_features: int) -> Layout:
        size = group_size(in_features)
        groups = out_features * in_features // size
        return {
            "data": (((groups + 1) // 2, size), torch.uint8),
            "scale": ((groups, 1), torch.float32),
            "shift": ((groups, 1), torch.float32),
        }

    def refusal(self, out_features: int, in_features: int) -> str | None:
        if out_features * in_features > group_size(in_features):
            return None
        return (
            f"{self.name} needs more than one group of values, and optimum-quanto makes one group of a matrix of "
            f"{out_features} x {in_features}: store it in int8 or plain"
        )

    def joined(self, blocks: Sequence[Tensors]) -> dict[str, Tensor]:
        scale, shift = (torch.cat([block[name] for block in blocks]) for name in ("scale", "shift"))
        codes = torch.cat([_codes(block["data"], len(block["scale"])) for block in blocks])
        return {"data": packed(codes), "scale": scale, "shift": shift}

    def _rows(self, tensors: Tensors, start: int, stop: int, in_features: int) -> Tensor:
        data, groups = tensors["data"], in_features // group_size(in_features)
        first, last, half = start * groups, stop * groups, len(data)
        low = data[min(first, half) : min(last, half)] & 15
        high = data[max(first - half, 0) : max(last - half, 0)] >> 4
        values = tensors["scale"][first:last] * torch.cat([low, high])
        values -= tensors["shift"][first:last]
        return values.view(stop - start, in_features)


def packed(codes: Tensor) -> Tensor:
    """Two codes (groups, size) in a byte: ((groups + 1) // 2, size)."""
    half = (len(codes) + 1) // 2
    data = codes[:half].clone()
    data[: len(codes) - half] |= codes[half:] << 4
    return data


def _codes(data: Tensor, groups: int) -> Tensor:
    """Codes (groups, size), a byte each, of packed ones."""
    return torch.cat([data & 15, data >> 4])[:groups]


def group_size(in_features: int) -> int:
    """Values of a row that share a scale: 128, or 96, 64 or 32 where that divides the row, or the whole row.

    As `QModuleMixin.__init__` of optimum-quanto 0.2.7 has it.
    """
    if in_features > 128:
        for size in (128, 96, 64, 32):
            if in_features % size == 0:
                return size
    return in_features


@dataclass(frozen=True)
class NormalFloat(Format):
    """4-bit codes of a codebook of 16 values, and the largest magnitude of each 64: bitsandbytes' nf4.

    The matrix is cut into blocks of 64 along its rows, one row after another; the last one is filled up with zeros. The
    first of two codes is in the high bits of its byte. The magnitudes are float32, not quantized once more.
    """

    def tensors(self, out_features: int, in_features: int) -> Layout:
        blocks = -(-out_features * in_features // 64)
        return {
            "data": ((blocks, 32), torch.uint8),
            "absmax": ((blocks, 1), torch.float32),
            "codebook": ((16,), torch.float32),
        }

    def joined(self, blocks: Sequence[Tensors]) -> dict[str, Tensor]:
        return super().joined(blocks) | {"codebook": blocks[0]["codebook"]}

    def _rows(self, tensors: Tensors, start: int, stop: int, in_features: int) -> Tensor:
        blocks = slice(start * in_features // 64, -(-stop * in_features // 64))
        data, absmax = tensors["data"][blocks], tensors["absmax"][blocks]
        kernel = bnb.nf4_kernel(data.device.type, in_features)
        if kernel is not None:
            return kernel(data, absmax.view(-1), 64, "nf4", (stop - start, in_features), torch.float32)
        pairs = torch.cartesian_prod(tensors["codebook"], tensors["codebook"])  # (256, 2): both codes of a byte at once
        values = F.embedding(data.int(), pairs).view(-1, 64)
        values *= absmax
        return values.view(-1)[: (stop - start) * in_features].view(-1, in_features)


@dataclass(frozen=True)
class LlmInt8(Format):
    """int8 values and the largest magnitude of each row: bitsandbytes' LLM.int8(), which quantizes the input too."""

    mixes_rows: ClassVar[bool] = True  # a large value anywhere in a column holds all of that column out

    def tensors(self, out_features: int, in_features: int) -> Layout:
        return {"data": ((out_features, in_features), torch.int8), "absmax": ((out_features,), torch.float32)}

    def linear(self, x: Tensor, tensors: Tensors, out_features: int, bias: Tensor | None) -> Tensor:
        return llm_int8.linear(x, tensors["data"], tensors["absmax"], bias)

    def _rows(self, tensors: Tensors, start: int, stop: int, in_features: int) -> Tensor:
        return llm_int8.dequantized(tensors["data"][start:stop], tensors["absmax"][start:stop])


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Plain("fp32", torch.float32),
        Plain("fp16", torch.float16),
        Plain("bf16", torch.bfloat16),
        RowScaled("int8", torch.int8),
        Grouped("int4"),
        RowScaled("float8", torch.float8_e4m3fn),
        LlmInt8("bnb-int8"),
        NormalFloat("bnb-nf4"),
    )
}

DTYPES = {name: stored.dtype for name, stored in FORMATS.items() if type(stored) is Plain}
"""The formats that are dtypes, in which products are computed too."""
