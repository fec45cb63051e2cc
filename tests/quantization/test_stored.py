"""The layer against the back ends' own modules, and what must not happen to what it stores."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.memory.fake import fake_tensors
from lowmem_fold.memory.ledger import Ledger
from lowmem_fold.quantization import FORMATS, StoredLinear, bnb, llm_int8, quantize_linear
from tests.quantization.backends import bnb_nf4_module, dequantized, module, needs, python_unpacking

EVERY_FORMAT = pytest.mark.parametrize("format", FORMATS)
WIDTHS = [64, 96, 320, 2560]
# Largest difference, relative to the largest value. All but bnb-int8: the same products in another order of summation.
# bnb-int8: bitsandbytes' constant for 1 / 127^2 on a CPU is 1.8e-5 too large; inputs that are not quantized give 1e-2.
TOLERANCE = dict.fromkeys(FORMATS, 2e-6) | {"bnb-int8": 2.5e-5}


def layer(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    made = nn.Linear(in_features, out_features, bias)
    generator = torch.Generator().manual_seed(2)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    return made.requires_grad_(False)


def inputs(rows: int, in_features: int, outliers: bool) -> Tensor:
    """Random rows, one of them zero; with `outliers`, two columns hold large values."""
    x = torch.randn(rows, in_features, generator=torch.Generator().manual_seed(3)).clamp_(-5, 5)
    x[0] = 0
    if outliers:
        x[-1, 3], x[rows // 2, 40] = 60, -8
    return x


def stored(format: str, of: nn.Linear, compute: torch.dtype = torch.float32) -> StoredLinear:
    needs(format)
    return quantize_linear(of, format, compute)


def difference(ours: Tensor, theirs: Tensor) -> float:
    ours, theirs = ours.detach().double(), theirs.detach().double()
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.filterwarnings("ignore:MatMul8bitLt")  # bitsandbytes says that it casts: 0.49 so, 0.50 in its log
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("outliers", [False, True], ids=["small", "outliers"])
@pytest.mark.parametrize("in_features", WIDTHS)
@EVERY_FORMAT
def test_equals_the_back_ends_module(format: str, in_features: int, outliers: bool, bias: bool) -> None:
    of, x = layer(in_features, 1056, bias), inputs(20, in_features, outliers)
    ours = stored(format, of)
    theirs = module(copy.deepcopy(of), format)
    if format == "bnb-nf4" and in_features % 64:  # where its module's kernel on a CPU takes wrong magnitudes
        theirs = nn.Linear(in_features, 1056, bias)
        theirs.weight, theirs.bias = nn.Parameter(dequantized(of.weight, format)), of.bias
    with python_unpacking() if format == "int4" else nullcontext():
        expected, of_one_row = theirs(x), theirs(x[1:2])
    assert difference(ours(x), expected) < TOLERANCE[format]
    assert torch.equal(ours(x.view(4, 5, -1)), ours(x).view(4, 5, -1))
    if not outliers:  # one row is the weight's kernel's own case, and zero gives the bias
        assert difference(ours(x[1]), of_one_row[0]) < TOLERANCE[format]
        assert torch.equal(ours(x[0]), of.bias if bias else torch.zeros(1056))


def test_nf4_is_what_bitsandbytes_runs_in_bfloat16() -> None:
    """In inference on a CPU with bfloat16 its module rounds input, weights and magnitudes to it: 8 bits, some times."""
    of, x = layer(320, 128), inputs(20, 320, outliers=False)
    ours = stored("bnb-nf4", of)
    assert difference(ours(x), bnb_nf4_module(of).eval()(x)) < 2e-2


@pytest.mark.parametrize("compute", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@EVERY_FORMAT
def test_computes_in_the_dtype_asked_for(format: str, compute: torch.dtype) -> None:
    of, x = layer(320, 192), inputs(20, 320, outliers=False)
    y = stored(format, of, compute)(x)
    assert y.dtype == x.dtype and torch.equal(y, y.to(compute).float())
    weight = stored(format, of).weight.to(compute).double()
    expected = x.to(compute).double() @ weight.t() + of.bias.to(compute).double()
    quantized_inputs = 1e-2 if format == "bnb-int8" else 0
    assert difference(y, expected) < max(4 * torch.finfo(compute).eps, quantized_inputs)


@EVERY_FORMAT
def test_takes_the_place_of_esmfolds_layer(format: str) -> None:
    from transformers.models.esm.modeling_esmfold import EsmFoldLinear

    of = EsmFoldLinear(64, 192).requires_grad_(False)
    ours = stored(format, of)
    assert (ours.in_features, ours.out_features) == (64, 192)
    assert ours.weight.shape == of.weight.shape and torch.equal(ours.bias, of.bias)
    # Half the widest step of nf4, the coarsest: the codes -1 and -0.696 are 0.304 apart.
    torch.testing.assert_close(ours.weight, of.weight, rtol=0, atol=0.153 * float(of.weight.abs().max()))


CASTS = {
    "half": lambda m: m.half(),
    "float": lambda m: m.float(),
    "double": lambda m: m.double(),
    "to": lambda m: m.to(torch.bfloat16),
    "to-device-and-dtype": lambda m: m.to("cpu", torch.float16),
    "type": lambda m: m.type(torch.float64),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
@EVERY_FORMAT
def test_no_cast_reaches_what_is_stored(format: str, cast) -> None:
    ours, x = stored(format, layer(96, 64)), inputs(5, 96, outliers=True)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    expected = ours(x)
    after = cast(nn.Sequential(ours))[0]
    assert all(after.state_dict()[name].dtype == tensor.dtype for name, tensor in before.items())
    assert torch.equal(after(x), expected)


@EVERY_FORMAT
def test_moves_between_devices(format: str) -> None:
    ours = stored(format, layer(96, 64))
    dtypes = {name: tensor.dtype for name, tensor in ours.state_dict().items()}
    moved = copy.deepcopy(ours).to("meta", torch.float16)
    assert all(t.is_meta and t.dtype == dtypes[name] for name, t in moved.state_dict().items())
    assert moved.to_empty(device="cpu").load_state_dict(ours.state_dict()) and torch.equal(moved.weight, ours.weight)


@EVERY_FORMAT
def test_state_dict_round_trip_through_a_mapped_file(format: str, tmp_path: Path) -> None:
    of, x = layer(320, 64), inputs(5, 320, outliers=True)
    ours = stored(format, of)
    assert list(ours.state_dict()) == [*FORMATS[format].tensors(64, 320), "bias"]
    save_file({f"query.{name}": tensor for name, tensor in ours.state_dict().items()}, tmp_path / "weights.safetensors")
    loaded = load_file(tmp_path / "weights.safetensors")
    tensors = {name.removeprefix("query."): tensor for name, tensor in loaded.items()}
    from_file = StoredLinear(format, 64, 320, tensors, tensors.pop("bias"), torch.float32)
    assert from_file.data.data_ptr() == tensors["data"].data_ptr()
    assert torch.equal(from_file(x), ours(x))
    other = stored(format, layer(320, 64, bias=True).requires_grad_(False))
    other.data.zero_()
    other.load_state_dict(ours.state_dict())
    assert torch.equal(other(x), ours(x))


def test_refuses_tensors_that_are_something_else() -> None:
    ours = stored("int8", layer(64, 32))
    tensors = ours.state_dict()
    bias = tensors.pop("bias")

    def refusal(**changed: Tensor) -> str:
        with pytest.raises(ModelError) as error:
            StoredLinear("int8", 32, 64, {**tensors, **changed}, bias, torch.float32)
        return str(error.value)

    assert refusal(data=tensors["data"].float()) == (
        "tensor data is torch.float32 (32, 64), where int8 of 32 x 64 weights needs torch.int8 (32, 64)"
    )
    assert "tensor scale is torch.float32 (32,)" in refusal(scale=tensors["scale"].view(-1))
    with pytest.raises(ModelError, match="tensor scale of a weight in int8 is missing"):
        StoredLinear("int8", 32, 64, {"data": tensors["data"]}, bias, torch.float32)
    with pytest.raises(ModelError, match=r"tensor 0\.data is torch\.float16 \(32, 64\)"):
        nn.Sequential(ours).load_state_dict({"0.data": ours.weight.half()}, strict=False)
    with pytest.raises(InputError, match="more than one group"):
        stored("int4", layer(64, 1))


@EVERY_FORMAT
def test_a_product_holds_one_block_of_the_matrix(format: str) -> None:
    """On fake tensors, so with no weights: the peak above input, output and what is stored."""
    needs(format)
    rows, out_features, in_features = 16, 10240, 2560
    with fake_tensors():
        tensors = {
            n: torch.empty(s, dtype=d) for n, (s, d) in FORMATS[format].tensors(out_features, in_features).items()
        }
        ours = StoredLinear(format, out_features, in_features, tensors, None, torch.float32)
        x = torch.empty(rows, in_features)
        with Ledger() as ledger:
            y = ours(x)
    assert y.shape == (rows, out_features) and y.dtype == torch.float32
    extra_bytes = ledger.peak_bytes - y.nbytes
    assert extra_bytes < 0.3 * 4 * out_features * in_features


def test_nf4_kernel_gives_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, x = stored("bnb-nf4", layer(2560, 1000)), inputs(5, 2560, outliers=True)
    if bnb.nf4_kernel("cpu", 2560) is None:
        pytest.skip("bitsandbytes has no compiled kernels here")
    weight, y = ours.weight, ours(x)
    monkeypatch.setattr(bnb, "nf4_kernel", lambda *_: None)
    assert torch.equal(ours.weight, weight) and torch.equal(ours(x), y)


def test_integers_multiply_the_same_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of at most 1040 products of int8 are exact in float32."""
    ours, x = stored("bnb-int8", layer(1040, 1000)), inputs(20, 1040, outliers=True)
    y = ours(x)
    monkeypatch.setattr(llm_int8, "_has_int_mm", lambda *_: False)
    assert torch.equal(ours(x), y)


def test_llm_int8_is_its_formula() -> None:
    """Against float64: outliers exactly, the rest rounded to 127 steps of the row's largest magnitude that is none."""
    of, x = layer(320, 64), inputs(20, 320, outliers=True)
    weight = stored("bnb-int8", of).weight.double()
    columns = (x.abs() >= 6).any(dim=0)
    assert columns.sum() == 2
    half = x.half().double()
    step = half.masked_fill(half.abs() >= 6, 0).abs().amax(dim=1, keepdim=True).clamp(min=1e-9) / 127
    rounded = (half / step).round() * step
    expected = torch.where(columns, x.double(), rounded) @ weight.t() + of.bias.double()
    assert difference(stored("bnb-int8", of)(x), expected) < 1e-6


def test_a_column_that_reaches_6_is_an_outlier() -> None:
    """Compared as float16, in which the number before 6 is 6 - 2^-8."""
    x = torch.tensor([[6.0, 6.0 - 2**-8, -6.0, 1.0]])
    codes, absmax, outliers = llm_int8._quantized(x)
    assert outliers.tolist() == [0, 2] and absmax.item() == 6.0 - 2**-8
    assert codes.tolist() == [[0, 127, 0, round(127 / (6 - 2**-8))]]


def test_inputs_beyond_float16_are_outliers() -> None:
    of, x = layer(64, 32, bias=False), inputs(5, 64, outliers=False)
    x[2, 7] = 1e6
    y = stored("bnb-int8", of)(x)
    assert y.isfinite().all() and difference(y, F.linear(x, of.weight)) < 2e-2


# What a card's product may differ by from a CPU's: of float32 sums of 2,560 terms, each rounded to half a unit in the
# last place, as a random walk; float16 is rounded once, when the sum is done.
CARD_TOLERANCE = {
    torch.float32: 2560**0.5 * torch.finfo(torch.float32).eps / 2,
    torch.float16: 16 * torch.finfo(torch.float16).eps,
}


@pytest.mark.parametrize("format", ["fp32", "int8", "float8", "bnb-nf4"])
def test_one_accumulator_in_order_is_within_the_tolerance_of_a_card(format: str) -> None:
    """The worst that a kernel does with its terms; a tile of TF32 products, which round to 2^-11, is far outside."""
    of, x = layer(2560, 1056), inputs(40, 2560, outliers=True)
    ours = stored(format, of)
    total = torch.zeros(40, 1056)
    for terms, weights in zip(x.T, ours.weight.T, strict=True):
        total.addcmul_(terms[:, None], weights[None].float())
    assert difference(total + ours.bias, ours(x)) < CARD_TOLERANCE[torch.float32]
    rounded = (x.view(torch.int32) & ~0x1FFF).view(torch.float32)
    assert difference(ours(rounded), ours(x)) > 10 * CARD_TOLERANCE[torch.float32]


@pytest.mark.gpu
@pytest.mark.parametrize("compute", [torch.float32, torch.float16], ids=str)
@EVERY_FORMAT
def test_a_card_gives_what_the_cpu_gives(format: str, compute: torch.dtype) -> None:
    of, x = layer(2560, 1056), inputs(40, 2560, outliers=True)
    ours = stored(format, of, compute)
    on_card = copy.deepcopy(ours).cuda()
    assert torch.equal(on_card.weight.cpu(), ours.weight)
    assert difference(on_card(x.cuda()).cpu(), ours(x)) < CARD_TOLERANCE[compute]
    assert on_card(x[1:3].cuda()).shape == (2, 1056)


@pytest.mark.gpu
@pytest.mark.parametrize("format", ["int8", "float8", "bnb-int8", "bnb-nf4"])
def test_equals_the_back_ends_module_on_a_card(format: str) -> None:
    """float16, which bitsandbytes' kernels there round to."""
    of, x = layer(2560, 1056).cuda(), inputs(40, 2560, outliers=True).cuda()
    needs(format)
    theirs = module(copy.deepcopy(of), format)
    assert difference(quantize_linear(of, format, torch.float32)(x), theirs(x)) < 2e-3
