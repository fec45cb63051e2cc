"""The files that hold a model's weights, and their tensors, read one at a time from memory-mapped files: safetensors or
`pytorch_model.bin`, whole or in shards."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

from ..errors import ModelError, first_line
from ..memory.exhaustion import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WeightFiles", "chosen_files", "chosen_patterns"]

Read = Callable[[], "Tensor"]
#: In the order in which stock transformers looks for them: a whole file, the index of shards, names that shards have.
_LAYOUTS = (
    ("model.safetensors", "model.safetensors.index.json", "*.safetensors"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json", "*.bin"),
)


def chosen_files(folder: Path) -> list[Path]:
    """Return the files that a model's weights are read from, those that stock transformers reads.

    They are `model.safetensors`, else the shards that its index names, else `pytorch_model.bin`, else the shards of
    its index. Whatever else lies beside them counts for nothing: neither when the model is loaded, nor for its
    fingerprint, nor for whether it is complete.

    Raises
    ------
    ModelError
        There are none, a shard is missing, or the index is damaged: names the file.
    """
    for whole, index, _ in _LAYOUTS:
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / index).is_file():
            return _shards(folder / index)
    raise ModelError(f"{folder} holds no weights (model.safetensors or pytorch_model.bin){_strays(folder)}")


def _strays(folder: Path) -> str:
    """What looks like weights, but has a name that nothing reads."""
    names = sorted(file.name for _, _, shards in _LAYOUTS for file in folder.glob(shards))
    more = ", ..." if len(names) > 3 else ""
    return f"; {', '.join(names[:3])}{more} cannot be read without an index, or under that name" if names else ""


def chosen_patterns(names: Collection[str]) -> list[str]:
    """Return patterns of the files that `chosen_files` would choose in a repository that holds these."""
    for whole, index, shards in _LAYOUTS:
        if whole in names:
            return [whole]
        if index in names:
            return [index, shards]
    return []


class WeightFiles:
    """Every tensor of a folder by its name. What `get` returns may be a view of the file: copy what is to stay.

    Parameters
    ----------
    folder : Path
        A model in Hugging Face layout, of which `chosen_files` are read.
    renamed : callable, optional
        The model's name of a tensor, of the file's.
    same : mapping of str to str, optional
        Tensors that may be held under another name alone, and that name.

    Raises
    ------
    ModelError
        A file is missing, damaged or cut short, by name.
    """

    def __init__(
        self, folder: Path, renamed: Callable[[str], str] | None = None, same: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._places: dict[str, tuple[Path, Read]] = {}
        for file in chosen_files(folder):
            for name, read in _tensors(file).items():
                name = _renamed(name)
                self._places[renamed(name) if renamed else name] = (file, read)
        for name, other in (same or {}).items():
            if name not in self._places and other in self._places:
                self._places[name] = self._places[other]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    @property
    def file_names(self) -> list[str]:
        """The files that were opened."""
        return sorted({file.name for file, _ in self._places.values()})

    def file_of(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self._places[name][0]

    def get(self, name: str) -> Tensor:
        """A tensor on the CPU.

        Raises
        ------
        ModelError
            It cannot be read: names tensor and file.
        """
        file, read = self._places[name]
        try:
            return read()
        except Exception as error:  # safetensors, zip and torch each raise their own
            if is_out_of_memory(error):
                raise
            raise ModelError(f"{file}: {name} cannot be read ({first_line(error)})") from error


def _renamed(name: str) -> str:
    """The name in the model. Older files, and transformers when it saves, call a norm's weight gamma, its bias beta."""
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith("LayerNorm" + old):
            return name.removesuffix(old) + new
    return name


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index}: no index of shards ({first_line(error)})") from error
    files = [index.with_name(name) for name in names]
    if missing := [file.name for file in files if not file.exists()]:
        raise ModelError(f"{index.parent}: {', '.join(missing)} is missing, and {index.name} names it")
    return files


def _tensors(file: Path) -> Mapping[str, Read]:
    try:
        return _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    except Exception as error:  # safetensors, pickle, zip and torch each raise their own
        if is_out_of_memory(error):
            raise
        raise ModelError(f"{file} cannot be read: damaged or cut short ({first_line(error)})") from error


def _safetensors(file: Path) -> Mapping[str, Read]:
    from safetensors import safe_open

    opened = safe_open(file, framework="pt")
    return {name: lambda name=name: opened.get_tensor(name) for name in list(opened.keys())}  # type: ignore[misc]


def _pickled(file: Path) -> Mapping[str, Read]:
    import torch

    mapped = is_zipfile(file)  # files from before torch 1.6 are not, and come into memory whole
    state = torch.load(file, map_location="cpu", mmap=mapped, weights_only=True)
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise pickle.UnpicklingError("it holds no state dict")
    return {name: lambda tensor=tensor: tensor for name, tensor in state.items()}  # type: ignore[misc]
