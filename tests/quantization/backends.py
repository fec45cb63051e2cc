"""The back ends' own weights and modules, to compare ours with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from lowmem_fold.quantization import unavailable

PLAIN = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def needs(format: str) -> None:
    """Skips the test where the format's back end is not installed."""
    if reason := unavailable(format, torch.device("cpu")):
        pytest.skip(reason)


@contextmanager
def python_unpacking() -> Iterator[None]:
    """quanto's own unpacking in Python, its default for a device, in place of the one that it would compile now."""
    from optimum.quanto.library.extensions import get_extension

    def unpack(data: Tensor, bits: int) -> Tensor:
        return torch.ops.quanto.unpack.default._op_dk(torch._C.DispatchKey.CompositeExplicitAutograd, data, bits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(get_extension("quanto_cpp"), "_lib", SimpleNamespace(unpack=unpack))
        yield


def quanto_module(layer: nn.Linear, format: str) -> nn.Module:
    from optimum.quanto import QLinear, qfloat8, qint4, qint8

    module = QLinear.from_module(layer, weights={"int8": qint8, "int4": qint4, "float8": qfloat8}[format])
    module.freeze()
    return module


def bnb_int8_module(layer: nn.Linear) -> nn.Module:
    import bitsandbytes as bnb

    module = bnb.nn.Linear8bitLt(
        layer.in_features, layer.out_features, bias=layer.bias is not None, has_fp16_weights=False, threshold=6.0
    )
    # Quantized by being moved from the CPU, to itself too
    module.weight = bnb.nn.Int8Params(layer.weight.detach().cpu(), requires_grad=False).to(layer.weight.device)
    module.bias = layer.bias
    return module.eval()


def bnb_nf4_module(layer: nn.Linear) -> nn.Module:
    import bitsandbytes as bnb

    module = bnb.nn.Linear4bit(
        layer.in_features, layer.out_features, layer.bias is not None, compress_statistics=False, quant_type="nf4"
    )
    module.weight = bnb.nn.Params4bit(
        layer.weight.detach().clone(), requires_grad=False, compress_statistics=False, quant_type="nf4", module=module
    ).to(layer.weight.device)
    module.bias = layer.bias
    return module


def module(layer: nn.Linear, format: str) -> nn.Module:
    """The back end's own module of `layer`; bitsandbytes' nf4 in training, because it rounds to bfloat16 else."""
    if format in PLAIN:
        layer.weight.data = layer.weight.data.to(PLAIN[format]).to(torch.float32)
        return layer
    if format == "bnb-int8":
        return bnb_int8_module(layer)
    return bnb_nf4_module(layer).train() if format == "bnb-nf4" else quanto_module(layer, format)


def dequantized(weight: Tensor, format: str) -> Tensor:
    """What the back end's own module holds of `weight`, dequantized by the back end (float32)."""
    if format in PLAIN:
        return weight.to(PLAIN[format]).to(torch.float32)
    layer = nn.Linear(*reversed(weight.shape), bias=False)
    layer.weight = nn.Parameter(weight)
    made = module(layer, format).weight
    if format == "bnb-int8":
        import bitsandbytes.functional as bnb

        return bnb.int8_vectorwise_dequant(made.CB, made.SCB)
    if format == "bnb-nf4":
        import bitsandbytes.functional as bnb

        # As one long row: with shorter ones its CPU kernel takes wrong magnitudes if 64 does not divide them.
        state = made.quant_state
        state.shape = torch.Size([1, weight.numel()])
        return bnb.dequantize_4bit(made.data, state).view(weight.shape)
    with python_unpacking(), torch.no_grad():
        return made.dequantize()
