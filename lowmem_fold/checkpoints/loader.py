"""Building a model from its files: a layer at a time, each straight in the form that the policy wants.

What is held at once is the model as far as it is built, and one layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, ModelError
from ..memory.heap import large_blocks_returned
from ..precision import Part, Precision
from ..quantization.formats import DTYPES, FORMATS
from ..quantization.registry import quantize
from ..quantization.stored import StoredLinear
from .architecture import Architecture, architecture_of
from .checkpoint import Checkpoint
from .container import empty_model, is_under, linears, replace_module
from .weight_files import WeightFiles

__all__ = ["Building", "load_model", "opened_files", "other_tensors", "planned_model"]

Kind = tuple[tuple[int, ...], torch.dtype | None]
_NAMED = 3
"""Tensors that an error lists."""


def load_model(checkpoint: Checkpoint, precision: Precision, device: torch.device, architecture: Architecture) -> Any:
    """The model on a device, for inference.

    Parameters
    ----------
    precision : Precision
        Resolved for the device.

    Raises
    ------
    InputError
        A layer's width does not fit its format, or a glob matches no layer: names it.
    ModelError
        Files are damaged, or tensors are missing, not known or of another shape: names tensor and file.
    """
    with large_blocks_returned():  # from the start: free space in the heap would be used, and kept, whatever the limit
        building = Building(checkpoint, precision, architecture)
        building.fill(building.open(), device)
    return building.model


def planned_model(checkpoint: Checkpoint, precision: Precision, architecture: Architecture) -> Any:
    """The model as `load_model` would make it, without any bytes (on the meta device): `inventory` counts them.

    Parameters
    ----------
    precision : Precision
        Resolved for the device that is meant.

    Raises
    ------
    InputError
        A layer's width does not fit its format, or a glob matches no layer: names it.
    ModelError
        The configuration cannot be read.
    """
    building = Building(checkpoint, precision, architecture)
    building.plan()
    return building.model


class Building:
    """A model on its way: at first without bytes and in no form, as its configuration says. Errors as `load_model`.

    Attributes
    ----------
    model : transformers.PreTrainedModel
        The architecture's container, for inference; buffers are there, in float32.
    """

    def __init__(self, checkpoint: Checkpoint, precision: Precision, architecture: Architecture) -> None:
        self._checkpoint, self._architecture = checkpoint, architecture
        self.model = empty_model(checkpoint, architecture).eval().requires_grad_(False)
        precision.check_globs(linears(self.model))
        self._wanted = {
            name: _wanted(name, module, precision, architecture) for name, module in self.model.named_modules()
        }
        _check_widths(self.model, self._wanted)

    def open(self) -> WeightFiles:
        """The files, which hold all tensors that the model is made of, and no others."""
        files = opened_files(self._checkpoint, self._architecture, self.model)
        _check(files, self.model, self._wanted, self._architecture)
        return files

    def plan(self, prefix: str = "") -> None:
        """Give the modules under a name the form in which they are wanted, on the meta device."""
        for name, module in self._modules(prefix):
            stored = self._wanted[name]
            if isinstance(stored, Part):
                replace_module(self.model, name, _empty_linear(module, stored))
            else:
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(stored)

    def fill(self, files: WeightFiles, device: torch.device, prefix: str = "", but: Sequence[str] = ()) -> None:
        """Give the modules under a name, but for those under the names of `but`, their weights on a device."""
        for name, module in self._modules(prefix):
            if any(is_under(name, other) for other in but):
                continue
            stored = self._wanted[name]
            if isinstance(stored, Part):
                replace_module(self.model, name, _stored_linear(name, module, stored, files).to(device))
            else:
                _fill(name, module, stored, files, device, self._architecture)

    def _modules(self, prefix: str) -> list[tuple[str, nn.Module]]:
        return [(name, module) for name, module in self.model.named_modules() if is_under(name, prefix)]


def _empty_linear(module: nn.Linear, policy: Part) -> StoredLinear:
    layout = FORMATS[policy.weights].tensors(module.out_features, module.in_features)
    tensors = {key: torch.empty(shape, dtype=dtype, device="meta") for key, (shape, dtype) in layout.items()}
    bias = None if module.bias is None else torch.empty(module.out_features, device="meta")
    compute = DTYPES[policy.compute or "fp32"]
    return StoredLinear(policy.weights, module.out_features, module.in_features, tensors, bias, compute)


def opened_files(checkpoint: Checkpoint, architecture: Architecture, model: nn.Module) -> WeightFiles:
    """The files, with the names of the model: those of the language model alone lack its prefix."""
    base = architecture.base
    children = {name for name, _ in model.get_submodule(base).named_children()}
    own = {name for name, _ in model.named_parameters()}
    same = {name: other for pair in architecture.same for name, other in (pair, pair[::-1]) if name in own}
    return WeightFiles(
        checkpoint.path, lambda name: f"{base}.{name}" if name.partition(".")[0] in children else name, same
    )


def other_tensors(checkpoint: Checkpoint, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the files that a loaded model does not use, such as heads for other tasks, by their names.

    They are views of the files. What is computed anew is left out.
    """
    files = opened_files(checkpoint, architecture_of(model), model)
    used = set(model.state_dict())
    for name, module in model.named_modules():
        if isinstance(module, StoredLinear):
            used |= {f"{name}.weight", *(f"{name}.{key}" for key, _ in module.named_buffers(recurse=False))}
    for name in files:
        if name not in used and not name.endswith(architecture_of(model).computed):
            yield name, files.get(name)


def _wanted(name: str, module: nn.Module, precision: Precision, architecture: Architecture) -> Part | torch.dtype:
    """How a module's weights are kept: as a part's policy says, or as they are in this dtype."""
    part = architecture.part_of(name)
    flow = _flow(part, precision, architecture)
    head = architecture.head is not None and is_under(name, architecture.head)
    if not isinstance(module, nn.Linear) or head or f"{name}.".startswith(architecture.unread):
        return flow
    policy = precision.of_linear(name, part)
    if policy.compute == "fp16" and any(fnmatchcase(name, glob) for glob in architecture.full_range):
        policy = replace(policy, compute="fp32")
    return flow if DTYPES.get(policy.weights) == DTYPES[policy.compute or "fp32"] == flow else policy


def _flow(part: str, precision: Precision, architecture: Architecture) -> torch.dtype:
    """The dtype of the activations: the stem's run in what it computes in, the trunk's streams are float32."""
    if part != "stem" or architecture.float32_states:
        return torch.float32
    return DTYPES[precision.stem.compute or "fp32"]


def _expected(name: str, module: nn.Module, wanted: Part | torch.dtype, files: WeightFiles) -> dict[str, Kind]:
    """Shape, and dtype where it has to be one, of the tensors that make a module up in the files."""
    prefix = f"{name}." if name else ""
    kinds: dict[str, Kind] = {prefix + key: (tuple(p.shape), None) for key, p in module.named_parameters(recurse=False)}
    if isinstance(wanted, Part) and f"{prefix}weight" not in files:  # stored by us
        assert isinstance(module, nn.Linear)
        del kinds[f"{prefix}weight"]
        layout = FORMATS[wanted.weights].tensors(module.out_features, module.in_features)
        kinds |= {prefix + key: kind for key, kind in layout.items()}
    return kinds


def _check_widths(model: nn.Module, wanted: Mapping[str, Part | torch.dtype]) -> None:
    for name, module in model.named_modules():
        policy = wanted[name]
        if isinstance(policy, Part):
            reason = FORMATS[policy.weights].refusal(module.out_features, module.in_features)
            if reason:
                raise InputError(f"precision {policy.weights}: {name}: {reason}")


def _check(
    files: WeightFiles, model: nn.Module, wanted: Mapping[str, Part | torch.dtype], architecture: Architecture
) -> None:
    """Every tensor is there, is what it should be, and is known."""
    expected: dict[str, Kind] = {}
    for name, module in model.named_modules():
        kinds = _expected(name, module, wanted[name], files).items()
        expected |= {key: kind for key, kind in kinds if not key.startswith(architecture.unread)}
    expected |= {name: (tuple(model.get_buffer(name).shape), None) for name in architecture.trained_buffers}
    problems = [f"{name} is missing" for name in expected if name not in files]
    for name, (shape, dtype) in expected.items():
        if name in files:
            problems += _differences(name, files, shape, dtype)
    problems += [
        f"{name} in {files.file_of(name).name} is not a tensor of {architecture.kind}"
        for name in files
        if name not in expected and not _known(name, architecture)
    ]
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise ModelError(f"{files.folder}: {'; '.join(problems[:_NAMED])}{more} (read: {', '.join(files.file_names)})")


def _differences(name: str, files: WeightFiles, shape: tuple[int, ...], dtype: torch.dtype | None) -> Iterator[str]:
    found = files.get(name)
    place = f"in {files.file_of(name).name}"
    if tuple(found.shape) != shape:
        yield f"{name} is {tuple(found.shape)} {place}, the configuration says {shape}"
    if found.dtype != dtype if dtype else not found.is_floating_point():
        yield f"{name} is {found.dtype} {place}, not {dtype or 'of floating point'}"


def _known(name: str, architecture: Architecture) -> bool:
    if name.endswith(architecture.computed) or name.startswith((*architecture.unread, *architecture.other_tasks)):
        return True
    return architecture.foreign and not any(
        is_under(name, own) for own in (architecture.base, architecture.head) if own
    )


def _stored_linear(name: str, module: nn.Linear, policy: Part, files: WeightFiles) -> StoredLinear:
    compute = DTYPES[policy.compute or "fp32"]
    if f"{name}.weight" in files:
        weight = files.get(f"{name}.weight")
        tensors = quantize(weight.to(torch.float32, copy=True), policy.weights)
    else:
        names = FORMATS[policy.weights].tensors(module.out_features, module.in_features)
        tensors = {key: files.get(f"{name}.{key}").clone() for key in names}
    bias = None if module.bias is None else files.get(f"{name}.bias").to(torch.float32, copy=True)
    return StoredLinear(policy.weights, module.out_features, module.in_features, tensors, bias, compute)


def _fill(
    name: str,
    module: nn.Module,
    dtype: torch.dtype,
    files: WeightFiles,
    device: torch.device,
    architecture: Architecture,
) -> None:
    """Give a module its own parameters and trained buffers; the other buffers are moved.

    A parameter that no file holds, and nothing reads, is zero.
    """
    for key, empty in list(module.named_parameters(recurse=False)):
        full = f"{name}.{key}" if name else key
        value: Tensor
        if full in files and files.get(full).shape == empty.shape:  # another shape is refused, unless nothing reads it
            value = files.get(full).to(device, dtype, copy=True)
        else:
            value = torch.zeros(empty.shape, dtype=dtype, device=device)
        setattr(module, key, nn.Parameter(value, requires_grad=False))
    for key, buffer in list(module.named_buffers(recurse=False)):
        computed = key in module._non_persistent_buffers_set
        ending, full = architecture.trained_frequencies, f"{name}.{key}"
        if full in architecture.trained_buffers:
            buffer = files.get(full).to(buffer.dtype, copy=True)
        elif ending is not None and key == ending.rpartition(".")[2] and not computed:
            buffer = _as_trained(full, ending, buffer, files)
        setattr(module, key, buffer.to(device))


def _as_trained(name: str, ending: str, buffer: Tensor, files: WeightFiles) -> Tensor:
    """Rotary frequencies as the files have them: rounded to float16 with the rest of the stem, on whose
    states the trunk was trained. Stock transformers keeps them too. Older files hold them once for each layer, all
    alike."""
    names = (name, *(each for each in files if each.endswith(ending)))
    found = next((each for each in names if each in files), None)
    if found is None or files.get(found).shape != buffer.shape:
        return buffer
    return files.get(found).to(buffer.dtype, copy=True)
