"""What is stored, against the back ends' own quantization and unpacking."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor

from lowmem_fold.errors import InputError
from lowmem_fold.quantization import FORMATS, quantize
from lowmem_fold.quantization.formats import group_size, row_blocks
from tests.quantization.backends import dequantized, needs

# Whole blocks and groups, groups that are reduced, widths that nothing divides, and odd numbers of groups
SHAPES = [(128, 64), (96, 96), (33, 96), (65, 320), (1, 256), (320, 340), (18, 33), (1000, 2560)]
EVERY_FORMAT = pytest.mark.parametrize("format", FORMATS)
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")


def random_weight(shape: tuple[int, int]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 0.05


@EVERY_SHAPE
@EVERY_FORMAT
def test_stores_what_it_says(format: str, shape: tuple[int, int]) -> None:
    needs(format)
    tensors = quantize(random_weight(shape), format)
    assert {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()} == FORMATS[format].tensors(*shape)
    assert list(tensors) == list(FORMATS[format].tensors(*shape))
    assert all(t.is_contiguous() and type(t) is Tensor and not t.requires_grad for t in tensors.values())
    stored_bytes = sum(t.untyped_storage().nbytes() for t in tensors.values())
    assert FORMATS[format].bits_per_weight(*shape) == 8 * stored_bytes / (shape[0] * shape[1])


@EVERY_SHAPE
@EVERY_FORMAT
def test_unpacks_to_what_the_back_end_dequantizes_to(format: str, shape: tuple[int, int]) -> None:
    needs(format)
    weight = random_weight(shape)
    expected = dequantized(weight, format)
    tensors = quantize(weight, format)
    assert torch.equal(FORMATS[format].unpack(tensors, *shape, torch.float32), expected)
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(FORMATS[format].unpack(tensors, *shape, dtype), expected.to(dtype))


# By hand, for 2560 weights in a row and 2560 rows: a float32 scale for each 2560; scale and shift for each 128;
# a float32 magnitude for each 64, and 16 float32 values for the matrix.
BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8.0125, "float8": 8.0125, "bnb-int8": 8.0125, "int4": 4.5}
BITS["bnb-nf4"] = 4.5 + 512 / 2560**2


@EVERY_FORMAT
def test_bits_per_weight(format: str) -> None:
    assert FORMATS[format].bits_per_weight(2560, 2560) == BITS[format]


@pytest.mark.parametrize("in_features", [33, 64, 96, 128, 130, 160, 192, 320, 340, 1024, 2560])
def test_groups_are_those_of_quanto(in_features: int) -> None:
    needs("int4")
    from optimum.quanto import QLinear, qint4

    layer = QLinear(in_features, 2, weights=qint4)
    assert group_size(in_features) == (layer.weight_group_size or in_features)


@EVERY_FORMAT
def test_rows_of_zeros_and_single_rows(format: str) -> None:
    needs(format)
    weight = torch.zeros(4, 128)
    weight[1] = 0.5
    unpacked = FORMATS[format].unpack(quantize(weight, format), 4, 128, torch.float32)
    torch.testing.assert_close(unpacked, weight, rtol=1e-6, atol=0)


def test_refuses_int4_of_one_group() -> None:
    assert FORMATS["int4"].refusal(2, 64) is None and FORMATS["int4"].refusal(1, 256) is None
    assert "1 x 64: store it in int8 or plain" in str(FORMATS["int4"].refusal(1, 64))
    with pytest.raises(InputError, match="more than one group"):
        quantize(torch.randn(1, 64), "int4")


@pytest.mark.parametrize(
    ("out_features", "in_features"), [(1, 64), (320, 320), (2560, 10240), (10240, 2560), (70, 10**7)]
)
def test_row_blocks_cover_each_row_once(out_features: int, in_features: int) -> None:
    rows = [row for start, stop in row_blocks(out_features, in_features) for row in range(start, stop)]
    assert rows == list(range(out_features))
    assert all(start % 64 == 0 for start, _ in row_blocks(out_features, in_features))


def test_formats_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        FORMATS["int8"].name = "int4"  # type: ignore[misc]
