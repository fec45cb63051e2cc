"""Writing a model: in the form it is stored in, or unpacked again in Hugging Face layout.

A folder appears whole, under its name, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .checkpoint import POLICY_FILE, Checkpoint
from .errors import InputError
from .inventory import inventory, weight_tensors
from .precision import Precision
from .quantization.stored import StoredLinear
from .versions import environment_versions

if TYPE_CHECKING:
    from transformers import EsmForProteinFolding

__all__ = ["save_dequantized", "save_quantized", "write_safetensors"]

_DTYPE_NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int64: "I64",
}
_NOT_COPIED = ("*.safetensors", "*.bin", "*.index.json", "*.md", POLICY_FILE, ".*")


def save_quantized(
    model: EsmForProteinFolding, source: Checkpoint, precision: Precision, folder: str | Path
) -> dict[str, dict]:
    """Write a loaded model as it is stored, with its policy; `load` reads it back. Returns its `inventory`.

    Raises
    ------
    InputError
        The folder is there already.
    """
    found = inventory(model)
    policy = {
        "schema_version": 1,
        "precision": asdict(precision),
        "source": {"model": source.name, "fingerprint": source.fingerprint()},
        "inventory": found,
        "versions": environment_versions(),
    }
    tensors = {
        f"{name}.{key}" if name else key: tensor
        for name, _, held in weight_tensors(model)
        for key, tensor in held.items()
    }
    extra = {POLICY_FILE: json.dumps(policy, indent=1) + "\n", "README.md": _card(source, precision, found)}
    _write_folder(Path(folder), source, tensors, extra)
    return found


def save_dequantized(model: EsmForProteinFolding, source: Checkpoint, folder: str | Path) -> None:
    """Write a loaded model in Hugging Face layout, which stock transformers reads: the trunk in float32, the stem in
    float16 if the configuration says so, as published.

    Raises
    ------
    InputError
        The folder is there already.
    """
    config = json.loads((source.path / "config.json").read_text())
    half_stem = bool((config.get("esmfold_config") or {}).get("fp16_esm"))
    tensors: dict[str, Tensor] = {}
    for name, module, held in weight_tensors(model):
        dtype = torch.float16 if half_stem and name.startswith("esm.") else torch.float32
        if isinstance(module, StoredLinear):
            held = {"weight": module.weight, **({} if module.bias is None else {"bias": module.bias})}
        tensors |= {f"{name}.{key}" if name else key: tensor.to(dtype) for key, tensor in held.items()}
    _write_folder(Path(folder), source, tensors, {"README.md": _dequantized_card(source)})


def _write_folder(folder: Path, source: Checkpoint, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    if folder.exists():
        raise InputError(f"{folder} is there already; name another folder, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh = Path(scratch) / "model"
        shutil.copytree(source.path, fresh, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        for name, text in texts.items():
            (fresh / name).write_text(text)
        write_safetensors(fresh / "model.safetensors", tensors)
        os.replace(fresh, folder)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors in the order given, so that those of a layer lie together. (The library sorts them by dtype and
    name.) The format: eight bytes of length, that much JSON, the data without gaps."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for tensor in tensors.values():
            file.write(_bytes(tensor))
        file.flush()
        os.fsync(file.fileno())


def _bytes(tensor: Tensor) -> memoryview:
    plain = tensor.detach().cpu().contiguous().flatten()
    return memoryview(plain.view(torch.uint8).numpy()) if plain.numel() else memoryview(b"")


def _card(source: Checkpoint, precision: Precision, found: Mapping[str, Mapping]) -> str:
    rows = [
        f"| {part} | {', '.join(about['formats'])} | {about['weights']:,} | {about['bytes']:,} "
        f"| {about['bits_per_weight']:.2f} |"
        for part, about in found.items()
    ]
    return "\n".join(
        [
            f"# {source.name} stored as {precision}",
            "",
            "Written by `lowmem-fold quantize`; read by `lowmem_fold.load` and `--model` of its verbs, not by stock",
            f"transformers (`lowmem-fold quantize --dequantize` writes such a folder). Source: {source.name}, whose",
            f"fingerprint is {source.fingerprint()} and whose licence holds for these weights too.",
            "",
            "| part | formats | weights | bytes | bits per weight |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _dequantized_card(source: Checkpoint) -> str:
    return "\n".join(
        [
            f"# {source.name}, unpacked",
            "",
            "Written by `lowmem-fold quantize --dequantize` in Hugging Face layout. The values are those of the",
            "quantized weights: what quantizing lost is not back.",
            "",
        ]
    )
