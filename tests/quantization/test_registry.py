"""Back ends that are there, missing, or out of reach of a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lowmem_fold.errors import InputError
from lowmem_fold.quantization import FORMATS, formats, quantize, quantize_linear, unavailable
from lowmem_fold.system.optional_packages import install_command
from tests.quantization.backends import needs

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
BACK_ENDS = {
    "int8": ("optimum.quanto", "optimum-quanto"),
    "int4": ("optimum.quanto", "optimum-quanto"),
    "float8": ("optimum.quanto", "optimum-quanto"),
    "bnb-int8": ("bitsandbytes", "bitsandbytes"),
    "bnb-nf4": ("bitsandbytes", "bitsandbytes"),
}


@pytest.mark.parametrize("format", BACK_ENDS)
def test_says_what_to_install(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, package = BACK_ENDS[format]
    monkeypatch.setitem(sys.modules, module, None)
    reason = str(unavailable(format, CPU))
    assert f"{format} is made by {package}" in reason and install_command(package) in reason
    with pytest.raises(InputError, match="pip install"):
        quantize(torch.randn(64, 64), format)


@pytest.mark.parametrize("shape", [(64, 128), (200, 128), (129, 32), (191, 96), (257, 64)])
@pytest.mark.parametrize("format", BACK_ENDS)
def test_blocks_of_rows_give_what_the_whole_matrix_gives(
    format: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(format)
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    whole = quantize(weight, format)
    monkeypatch.setattr(formats, "BLOCK_WEIGHTS", 1)  # 64 rows at a time
    assert len(list(formats.row_blocks(*shape))) == max(1, shape[0] // 64)
    blocks = quantize(weight, format)
    assert whole.keys() == blocks.keys()
    for name, tensor in whole.items():
        assert tensor.dtype == blocks[name].dtype and blocks[name].is_contiguous()
        assert torch.equal(tensor.view(torch.uint8), blocks[name].view(torch.uint8)), name


@pytest.mark.parametrize("format", ["fp32", "fp16", "bf16"])
def test_plain_formats_need_nothing(format: str) -> None:
    assert unavailable(format, CPU) is None


def test_float8_is_not_for_mps() -> None:
    assert "use int8" in str(unavailable("float8", torch.device("mps")))


def run(code: str, *arguments: Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr


WITHOUT_BACK_ENDS = """
import sys
sys.modules.update({"optimum": None, "optimum.quanto": None, "bitsandbytes": None})
import torch
from safetensors.torch import load_file
from lowmem_fold.quantization import FORMATS, StoredLinear, unavailable
saved = load_file(sys.argv[1])
for format in FORMATS:
    tensors = {n.split(".")[1]: t for n, t in saved.items() if n.startswith(format + ".")}
    if not tensors:
        continue
    y = tensors.pop("y")
    ours = StoredLinear(format, 96, 320, tensors, tensors.pop("bias"), torch.float32)
    assert torch.equal(ours(saved["x"]), y), format
    assert (unavailable(format, torch.device("cpu")) is None) == (format in ("fp32", "fp16", "bf16"))
"""


def test_stored_formats_run_without_the_back_ends(tmp_path: Path) -> None:
    layer = torch.nn.Linear(320, 96).requires_grad_(False)
    x = torch.randn(20, 320)
    x[2, 5] = 9
    saved = {"x": x}
    for format in FORMATS:
        if unavailable(format, CPU) is None:
            ours = quantize_linear(layer, format, torch.float32)
            saved |= {f"{format}.{name}": t for name, t in ours.state_dict().items()} | {f"{format}.y": ours(x)}
    # `bias` is one tensor in all of them, and a file holds no tensor twice
    save_file({name: tensor.clone() for name, tensor in saved.items()}, tmp_path / "stored.safetensors")
    run(WITHOUT_BACK_ENDS, tmp_path / "stored.safetensors")


WITHOUT_COMPILER = """
import shutil, sys
import torch
from lowmem_fold.quantization import quantize_linear
assert shutil.which("g++") is None and shutil.which("ninja") is None
format = sys.argv[1]
layer = torch.nn.Linear(320, 64).requires_grad_(False)
ours = quantize_linear(layer, format, torch.float32)
x = torch.randn(3, 320)
torch.testing.assert_close(ours(x), torch.nn.functional.linear(x, ours.weight, layer.bias), rtol=1e-5, atol=1e-5)
if format == "int4":
    from optimum.quanto.library.extensions import get_extension
    assert get_extension("quanto_cpp")._lib is None
"""


@pytest.mark.parametrize("format", ["int4", "bnb-nf4"])
def test_needs_no_compiler(format: str) -> None:
    needs(format)
    run(WITHOUT_COMPILER, Path(format), PATH="")
