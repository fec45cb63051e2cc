"""What plans are made of: for a model at a precision and a length, the bytes of each phase and of the weights in each
placement. Worked out once and kept in the cache; what is kept there is told without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.checkpoint import Checkpoint
from ..errors import InputError, ModelError, first_line
from ..families.registry import DEFAULT_MODEL, find_folding_model, published_family
from ..precision import Precision, parse_precision
from ..system.cache import read_json, write_json
from ..system.model_names import model_suggestion
from ..system.versions import code_digest, environment_versions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..checkpoints.architecture import Architecture
    from ..families.interface import FoldingFamily, Skeleton
    from ..residency import WeightLayout
    from ..residency.placements import Files

__all__ = ["FactSource", "Facts", "Placed", "digest"]


@dataclass(frozen=True)
class Placed:
    """Bytes of weights in one placement: on the device in each phase, and beside it in host memory. from_file: whether
    they can wait in the file instead. refusal: why the model cannot have the placement, or None."""

    phases: Mapping[str, int]
    host: int
    from_file: bool
    refusal: str | None


@dataclass(frozen=True)
class Facts:
    """Of one precision, length and device type.

    Attributes
    ----------
    resolved : str
        The precision as the device has it.
    activations : mapping of str to int
        Peak bytes of all but weights in each phase of the family.
    layout : mapping
        The fields of a `WeightLayout`.
    placements : mapping of str to Placed
        From the fastest to the smallest.
    """

    resolved: str
    activations: Mapping[str, int]
    layout: Mapping[str, Any]
    placements: Mapping[str, Placed]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Facts:
        """Return the facts of what JSON made of `asdict`; ValueError of anything else."""
        try:
            placements = {name: Placed(**placed) for name, placed in values["placements"].items()}
            activations = dict(values["activations"])
            if not activations or any(placed.phases.keys() != activations.keys() for placed in placements.values()):
                raise ValueError("the phases of activations and weights differ")
            parse_precision(values["resolved"])
            return cls(values["resolved"], activations, dict(values["layout"]), placements)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"they are not facts of a plan ({first_line(error)})") from error


class FactSource:
    """The facts of one model on one kind of device.

    Parameters
    ----------
    model : str
        `demo`, a local folder, or a hub id: from the hub's cache, never from the network. Where it is not there,
        `facebook/esmfold_v1` is known by its dimensions.
    device_type : str
        `cpu`, `cuda` or `mps`; it need not be there.
    num_recycles : int

    Attributes
    ----------
    family : FoldingFamily
        That of the model.

    Raises
    ------
    ModelError
        The model is not known here.
    """

    def __init__(self, model: str, device_type: str, num_recycles: int) -> None:
        self.model, self.device_type = model, device_type
        self._num_recycles = num_recycles
        self._checkpoint, self.family = _local_model(model)

    def asked_precision(self, precision: str | Precision | None) -> Precision:
        """As `load` takes it; InputError if the model cannot be had so."""
        if self._checkpoint is not None:
            return self._checkpoint.asked_precision(precision)
        return Precision() if precision is None else parse_precision(precision)

    @property
    def policy(self) -> Precision | None:
        """That of a quantized folder; None of an ordinary model."""
        return self._checkpoint.policy() if self._checkpoint else None

    def at(self, length: int, precisions: Sequence[str]) -> dict[str, Facts]:
        """Of these precisions, without those that the model or the device cannot have; of the first that is an error.

        Raises
        ------
        InputError
            The first cannot be had: says why.
        """
        name = f"plan-{self._key(length)}"
        known = _sound(read_json(name))
        missing = [
            each for each in precisions if known.get(each) is None and (each not in known or each == precisions[0])
        ]
        if missing:
            known |= {each: self._found(length, each, must=each == precisions[0]) for each in missing}
            write_json(name, known)
        return {each: Facts.from_dict(known[each]) for each in precisions if known[each] is not None}

    def _found(self, length: int, precision: str, *, must: bool) -> dict[str, Any] | None:
        try:
            return asdict(self._facts(length, precision))
        except InputError:
            if must:
                raise
            return None

    def _key(self, length: int) -> str:
        """Of all that the facts depend on but the precision."""
        about = [self._identity, self.device_type, min(self._num_recycles, 1), length]
        return digest(*about)

    @cached_property
    def _identity(self) -> str:
        if self._checkpoint is None:
            return f"dimensions of {self.model}"
        return f"{self._checkpoint.fingerprint()} {self._checkpoint.policy()}"

    def _facts(self, length: int, precision: str) -> Facts:
        import torch

        from ..pair.tiles import Tiling

        device = torch.device(self.device_type)
        resolved = parse_precision(precision).resolve(device)
        tiling = Tiling.for_device(device)
        peaks = self._skeleton.activations(length, resolved, tiling, self._num_recycles)
        planned = self._skeleton.planned(resolved)
        layout = self._layout(planned)
        return Facts(str(resolved), dict(peaks), asdict(layout), self._placements(planned, layout))

    @cached_property
    def _skeleton(self) -> Skeleton:
        return self.family.skeleton(self.config)

    @cached_property
    def config(self) -> dict[str, Any]:
        """As `config.json` has it."""
        if self._checkpoint is not None:
            return self._checkpoint.config
        name = f"plan-config-{digest(self.model)}"
        known = read_json(name)
        if not isinstance(known, dict):
            known = self.family.published_config()
            write_json(name, known)
        return known

    def _placements(self, planned: nn.Module, layout: WeightLayout) -> dict[str, Placed]:
        from ..residency import PLACEMENTS, held_bytes, refusal

        found = {}
        for placement in PLACEMENTS:
            held = held_bytes(layout, placement, self.device_type)
            phases = {name: getattr(held, stack) for name, stack in self.family.phases.items()}
            reason = refusal(planned, self._files, placement, self.device_type)
            found[placement] = Placed(phases, held.host, not refusal(planned, self._files, placement, "cpu"), reason)
        return found

    def _layout(self, planned: nn.Module) -> WeightLayout:
        """Of the whole model: where the skeleton has one layer for all, that many of it."""
        from ..residency import weight_layout

        layout = weight_layout(planned, self._files)
        counts = dict(zip(("stem", "trunk"), self.family.stack_counts(self.config), strict=True))
        return replace(
            layout,
            **{
                field: getattr(layout, field) * (count if len(getattr(layout, field)) == 1 else 1)
                for name, count in counts.items()
                for field in (name, f"{name}_converted")
            },
        )

    @cached_property
    def _files(self) -> Files:
        """The model's files, or what they would be."""
        from ..checkpoints.weight_files import WeightFiles

        if self._checkpoint is not None:
            return WeightFiles(self._checkpoint.path)
        return _PublishedFiles(self.family.architecture, self.config)


class _PublishedFiles:
    """The tensors of a published model's files, which are not here: none of them quantized, and all without bytes."""

    def __init__(self, architecture: Architecture, config: Mapping[str, Any]) -> None:
        self._architecture, self._config = architecture, config

    def __contains__(self, name: object) -> bool:
        return str(name).endswith((".weight", ".bias"))

    def get(self, name: str) -> Tensor:
        import torch

        from ..quantization.formats import DTYPES

        return torch.empty(0, dtype=DTYPES[self._architecture.file_dtype(name, self._config)], device="meta")


def _local_model(model: str) -> tuple[Checkpoint | None, FoldingFamily]:
    """The model's files, if they are on this machine, and its family; no files of a published model where they are
    not."""
    if model == "demo" or Path(model).exists():
        return find_folding_model(model)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(model, "config.json")
    except HFValidationError:
        return find_folding_model(model)  # says what a model can be
    if isinstance(config, str) and Checkpoint(model, Path(config).parent).is_complete():
        return find_folding_model(model)
    if family := published_family(model):
        return None, family
    raise ModelError(
        f"{model} is not on this machine, and a plan downloads nothing.{model_suggestion(model)} Get it by: hf download"
        f" {model} --local-dir DIR, then give --model DIR. {DEFAULT_MODEL} and demo can be planned without."
    )


def _sound(known: Any) -> dict[str, Any]:
    """Of what the cache has, by precision: what can be facts, and None where it knows that there are none."""
    found = {}
    for precision, values in known.items() if isinstance(known, dict) else ():
        with suppress(ValueError):
            found[precision] = None if values is None else asdict(Facts.from_dict(values))
    return found


def digest(*parts: Any) -> str:
    """Of these parts, the package's code, and the versions of what it runs on: what is kept under it holds as long."""
    return hashlib.sha256(json.dumps([code_digest(), environment_versions(), *parts]).encode()).hexdigest()[:24]
