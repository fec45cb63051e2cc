"""Writing a model: in the form it is stored in, or unpacked again in Hugging Face layout.

A folder appears whole, under its name, or not at all. It is made in a hidden folder beside it, under a lock; what a
killed run left there is removed by the next one that writes beside it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError, ModelError
from ..precision import Precision, readable_part
from ..quantization.formats import DTYPES, FORMATS
from ..quantization.stored import StoredLinear
from ..system.lock import FolderLock
from ..system.versions import environment_versions
from .architecture import architecture_of
from .checkpoint import POLICY_FILE, POLICY_VERSION, STORED_MARK, WEIGHTS_KEY, Checkpoint
from .inventory import inventory, weight_tensors
from .loader import other_tensors

if TYPE_CHECKING:
    from transformers import EsmForProteinFolding

__all__ = ["Entry", "save_dequantized", "save_quantized", "write_safetensors"]

_DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""As safetensors calls them."""
_COPIED = (
    "vocab.txt",
    "tokenizer*.json",
    "special_tokens_map.json",
    "spiece.model",
    "LICENSE*",
    "NOTICE*",
)
"""What of the source goes into the new folder as it is."""
_PARTIAL = ".lowmem_fold.partial"
"""The ending of the hidden folder that a new one is made in."""


class Entry(NamedTuple):
    """A tensor of a file to be written: `make` is called when its turn has come."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * torch.Size(self.shape).numel()


def save_quantized(
    model: EsmForProteinFolding, source: Checkpoint, precision: Precision, folder: str | Path
) -> dict[str, dict]:
    """Write a loaded model as it is stored, with its policy; `load` reads it back. Returns its `inventory`.

    Tensors of the source that the model does not use, such as heads for other tasks, are copied as they are.

    Raises
    ------
    InputError
        The folder exists already, or another run is writing it.
    ModelError
        The source cannot be read.
    """
    found = inventory(model)
    policy = {
        "schema_version": POLICY_VERSION,
        "precision": asdict(precision),
        "source": {"model": source.short_name, "fingerprint": source.fingerprint()},
        "inventory": found,
        "versions": environment_versions(),
    }
    entries = [entry for name, module, held in weight_tensors(model) for entry in _stored_entries(name, module, held)]
    kept = ("inv_freq", *architecture_of(model).trained_buffers)  # as they came: frequencies may have been rounded
    buffers = ((name, buffer) for name, buffer in _persistent_buffers(model) if name.endswith(kept))
    entries += [_entry("", name, buffer) for name, buffer in buffers]
    others = list(_other_entries(model, source))
    entries += others
    texts = {
        "config.json": _config_text(source, {WEIGHTS_KEY: STORED_MARK}),
        POLICY_FILE: json.dumps(policy, indent=1) + "\n",
        "README.md": _card(source, precision, found, others),
    }
    _write_folder(Path(folder), source, entries, texts)
    return found


def _config_text(source: Checkpoint, more: Mapping[str, str]) -> str:
    """The source's configuration, without the mark of stored weights unless `more` has it."""
    config = {name: value for name, value in source.config.items() if name != WEIGHTS_KEY}
    return json.dumps({**config, **more}, indent=2) + "\n"


def _other_entries(model: nn.Module, source: Checkpoint) -> Iterator[Entry]:
    for name, tensor in other_tensors(source, model):
        if tensor.dtype not in _DTYPE_NAMES:
            raise ModelError(f"{source.path}: {name} is {tensor.dtype}, which cannot be copied: take it out first")
        yield _entry("", name, tensor)


def _stored_entries(name: str, module: nn.Module, held: Mapping[str, Tensor]) -> Iterator[Entry]:
    """Tensors as they are held. A plain half-precision matrix is called `weight`: on a device that computes in it, an
    ordinary layer will hold it."""
    plain = isinstance(module, StoredLinear) and module.format in DTYPES
    for key, tensor in held.items():
        yield _entry(name, "weight" if plain and key == "data" else key, tensor)


def _entry(name: str, key: str, tensor: Tensor) -> Entry:
    return Entry(f"{name}.{key}" if name else key, tuple(tensor.shape), tensor.dtype, lambda: tensor)


def save_dequantized(model: EsmForProteinFolding, source: Checkpoint, folder: str | Path) -> None:
    """Write a loaded model in Hugging Face layout, which stock transformers reads: the trunk in float32, the stem in
    float16 if the configuration says so, as published, and what the model does not use as it is. Held at once is the
    model, and one layer unpacked. Errors as `save_quantized`.
    """
    architecture, config = architecture_of(model), source.config
    entries: list[Entry] = []
    for name, module, held in weight_tensors(model):
        dtype = DTYPES[architecture.file_dtype(name, config)]
        if isinstance(module, StoredLinear):
            shape = (module.out_features, module.in_features)
            entries.append(Entry(f"{name}.weight", shape, dtype, partial(_unpacked, module, dtype)))
            held = {} if module.bias is None else {"bias": module.bias}
        entries += [_entry(name, key, tensor)._replace(dtype=dtype) for key, tensor in held.items()]
    entries += [_entry("", name, buffer) for name, buffer in _persistent_buffers(model)]
    entries += _other_entries(model, source)
    texts = {"config.json": _config_text(source, {}), "README.md": _dequantized_card(source)}
    _write_folder(Path(folder), source, entries, texts)


def _persistent_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the buffers that belong into a checkpoint, whether trained or computed."""
    kept = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name in kept and not isinstance(model.get_submodule(name.rpartition(".")[0]), StoredLinear):
            yield name, buffer


def _unpacked(module: StoredLinear, dtype: torch.dtype) -> Tensor:
    """The matrix in float32, whatever it is computed in, rounded once to what it is written in."""
    tensors = dict(module.named_buffers(recurse=False))
    full = FORMATS[module.format].unpack(tensors, module.out_features, module.in_features, torch.float32)
    return full.to(dtype)


def _write_folder(folder: Path, source: Checkpoint, entries: Sequence[Entry], texts: Mapping[str, str]) -> None:
    if folder.exists():
        raise InputError(f"{folder} exists already; name another folder, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    with _scratch_folder(folder) as scratch:
        fresh = scratch / "model"
        fresh.mkdir()
        for file in (file for pattern in _COPIED for file in source.path.glob(pattern)):
            shutil.copyfile(file, fresh / file.name)
        for name, text in texts.items():
            (fresh / name).write_text(text)
        write_safetensors(fresh / "model.safetensors", entries)
        os.replace(fresh, folder)


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside one, which is locked inside and removed afterwards."""
    scratch = folder.parent / f".{folder.name}{_PARTIAL}"
    if scratch.is_symlink():
        raise InputError(f"{scratch} is a link; the folder is made there first: remove the link")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)  # a signal may come before it is locked
        scratch.mkdir(exist_ok=True)
        try:
            stack.enter_context(FolderLock(scratch))
        except InputError:  # it is another run's
            stack.pop_all()
            raise
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        shutil.rmtree(scratch / "model", ignore_errors=True)
        yield scratch


def _remove_abandoned(parent: Path) -> None:
    """Remove what killed runs left half made beside a folder."""
    for scratch in parent.glob(f".*{_PARTIAL}"):
        if not scratch.is_symlink() and FolderLock(scratch).is_abandoned():
            shutil.rmtree(scratch, ignore_errors=True)


def write_safetensors(path: Path, entries: Sequence[Entry], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors in the order given, so that those of a layer lie together, made one at a time. (The library sorts
    them by dtype and name, and wants all at once.) The few whose size is no multiple of eight come last: what follows
    them would not be aligned. The format: eight bytes of length, that much JSON, the data without gaps.

    metadata: what the file is to say of itself, beside that its tensors are torch's.
    """
    entries = sorted(entries, key=lambda entry: entry.nbytes % 8 != 0)
    header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for entry in entries:
        start, end = end, end + entry.nbytes
        dtype = _DTYPE_NAMES[entry.dtype]
        header[entry.name] = {"dtype": dtype, "shape": list(entry.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for entry in entries:
            file.write(_bytes(entry.make().to(entry.dtype)))
        file.flush()
        os.fsync(file.fileno())


def _bytes(tensor: Tensor) -> memoryview:
    plain = tensor.detach().cpu().contiguous().flatten()
    return memoryview(plain.view(torch.uint8).numpy()) if plain.numel() else memoryview(b"")


def _card(source: Checkpoint, precision: Precision, found: Mapping[str, Mapping], others: Sequence[Entry]) -> str:
    rows = [
        f"| {readable_part(part)} | {', '.join(about['formats'])} | {about['weights']:,} | {about['bytes']:,} "
        f"| {about['bits_per_weight']:.2f} |"
        for part, about in found.items()
    ]
    return "\n".join(
        [
            f"# {source.short_name} stored as {precision}",
            "",
            "Written by `lowmem-fold quantize`; read by `lowmem_fold.load`, `load_backbone` if it is a language model,",
            "and by `--model`, not by stock transformers (`lowmem-fold quantize --dequantize` writes such a",
            "folder).",
            "",
            f"Source: {source.short_name}, whose fingerprint is {source.fingerprint()} and whose licence holds for",
            "these weights too.",
            "",
            "| component | formats | weights | bytes | bits per weight |",
            "|---|---|---|---|---|",
            *rows,
            "",
            *_others_text(others),
        ]
    )


def _others_text(others: Sequence[Entry]) -> list[str]:
    """Lines of the card on what is copied as it is; none where nothing is."""
    if not others:
        return []
    size = sum(entry.nbytes for entry in others)
    return [f"Beside these: {len(others)} tensors for other tasks, as they were in the source ({size:,} bytes).", ""]


def _dequantized_card(source: Checkpoint) -> str:
    about = json.loads((source.path / POLICY_FILE).read_text()) if (source.path / POLICY_FILE).exists() else {}
    name = (about.get("source") or {}).get("model", source.short_name)
    return "\n".join(
        [
            f"# {name}, stored as {source.policy()} and unpacked",
            "",
            "Written by `lowmem-fold quantize --dequantize` in Hugging Face layout. The values are those of the",
            "quantized weights: what quantizing lost is not back.",
            "",
        ]
    )
