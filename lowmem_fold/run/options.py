"""What a user asks of a run, checked, and which of it decides the numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import DEMO_FOLDER, Checkpoint
from ..errors import InputError
from ..families.interface import FoldingFamily
from ..families.registry import DEFAULT_MODEL, families, family_of, published_family
from ..planning.options import check_placing
from ..precision import Precision, parse_precision, plain_words
from ..predictions.prediction_files import FORMATS
from ..system.devices import device_word
from ..system.numbers import check_whole
from ..system.versions import package_version

__all__ = [
    "FORMATS",
    "RunOptions",
    "known_settings",
    "result_settings",
]


@dataclass(frozen=True)
class RunOptions:
    """Options of a run, by the names of the command line with ``_`` for ``-``.

    Attributes
    ----------
    model : str
        Hub id, local folder, or ``"demo"``.
    precision : str, optional
        As `lowmem_fold.precision` has it. None: that of a quantized folder, else fp32.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    memory, host_memory : str or int, optional
        Budget on the device, and beside it in main memory: bytes, or ``8GB``, ``8GiB`` as `parse_memory` has it.
    placement : str, optional
        ``resident``, ``staged`` or ``streamed``. None: the fastest that fits ``memory``.
    allow_precision : tuple of str
        Precisions that a record may be folded in, one after the other, when it fits in no placement.
    stem_cache : str, optional
        Folder in which the stem's results are kept for other runs. None: they are kept while the run needs them.
    num_recycles : int
        Passes through the trunk after the first one, 0 or more.
    recycle_tolerance : float, optional
        Angstrom; recycling stops when the CA distance map changes by less. None: never early.
    chunk_size : int, optional
        Height of the blocks of the pair state, 1 or more. None: from the engine's byte budget.
    max_tokens_per_batch : int, optional
        Residues, linkers included, that may be folded at once. None or 0: one record at a time.
    format : str
        ``pdb``, ``cif`` or ``both``.
    save_pae : bool
        Whether to write ``<id>.pae.json``.
    overwrite : bool
        Whether records that are finished are folded again, and settings may differ from the folder's.
    allow_nucleotide_letters : bool
        Whether records that look like DNA or RNA, see `lowmem_fold.sequences.molecules`, are folded as proteins.
    adopt : bool
        Whether a ``config.json`` that was lost or damaged is written anew, where all results have the run's settings.

    Raises
    ------
    InputError
        Names the option and its value.
    """

    model: str = DEFAULT_MODEL
    precision: str | None = None
    device: str = "auto"
    memory: str | int | None = None
    host_memory: str | int | None = None
    placement: str | None = None
    allow_precision: tuple[str, ...] = ()
    stem_cache: str | None = None
    num_recycles: int = 3
    recycle_tolerance: float | None = None
    chunk_size: int | None = None
    max_tokens_per_batch: int | None = None
    format: str = "pdb"
    save_pae: bool = False
    overwrite: bool = False
    allow_nucleotide_letters: bool = False
    adopt: bool = False

    def __post_init__(self) -> None:
        self._set("device", device_word(self.device))
        check_placing(self.model, self.device, self.memory, self.host_memory, self.placement)
        for family in families():
            family.check_options(**self.fold_keywords)
        if self.max_tokens_per_batch is not None:
            check_whole("--max-tokens-per-batch", self.max_tokens_per_batch, 0)
        if self.chunk_size is not None and self.memory is not None:
            raise InputError("--chunk-size and --memory exclude one another: a plan has blocks of its own.")
        if self.format not in FORMATS:
            raise InputError(f"--format must be one of {', '.join(FORMATS)}; it is {self.format!r}.")
        for precision in (self.precision, *self.allow_precision):
            if precision is not None:
                parse_precision(precision)
        self._set("precision", _plain(self.precision))
        self._set("allow_precision", tuple(map(_plain, self.allow_precision)))
        if self.stem_cache is not None and not str(self.stem_cache).strip():
            raise InputError("--stem-cache is empty: name the folder.")

    def _set(self, name: str, value: object) -> None:
        """Put an option in its plain form: words in lower case."""
        object.__setattr__(self, name, value)

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the files that a finished record has, its scores last."""
        return (*FORMATS[self.format], *self.pae_endings, ".scores.json")

    @property
    def pae_endings(self) -> tuple[str, ...]:
        return (".pae.json",) if self.save_pae else ()

    @property
    def load_keywords(self) -> dict[str, Any]:
        """What ``lowmem_fold.load`` is called with, the model and the length apart."""
        names = ("precision", "device", "placement", "memory", "host_memory")
        return {name: getattr(self, name) for name in names}

    @property
    def fold_keywords(self) -> dict[str, Any]:
        """What ``Folder.fold`` and ``Folder.fold_batch`` are called with."""
        return {
            "num_recycles": self.num_recycles,
            "chunk_size": self.chunk_size,
            "recycle_tolerance": self.recycle_tolerance,
        }


def known_settings(options: RunOptions) -> dict[str, Any]:
    """The settings that are known before a model is loaded."""
    precision = options.precision if options.precision is not None else _precision_of_folder(options.model)
    asked = {} if precision is None else {"precision": str(parse_precision(precision))}
    family = _family(options.model)
    decisive = {} if family is None else family.settings(options.fold_keywords)
    return {**asked, "model": options.model, **decisive, "lowmem_fold": package_version()}


def result_settings(options: RunOptions, model: Mapping[str, Any]) -> dict[str, Any]:
    """All settings that decide the numbers; block height, batching, placement and device change them by rounding only.

    A record that was folded in one of ``allow_precision`` is marked as such beside its settings.

    Parameters
    ----------
    options : RunOptions
    model : Mapping
        What ``Folder.describe()`` says.
    """
    fingerprint = model.get("fingerprint") or model.get("source") or options.model
    return {**known_settings(options), "fingerprint": fingerprint, "precision": model.get("precision")}


def _family(model: str) -> FoldingFamily | None:
    """The family whose settings a run has before its model is loaded: that of a model that is on this machine, else the
    one whose model has this hub id, else the first."""
    if model == "demo":
        return family_of(Checkpoint(model, DEMO_FOLDER))
    if os.path.isdir(model) and (Path(model) / "config.json").exists():
        return family_of(Checkpoint(model, Path(model)))
    return published_family(model) or families()[0]


def _precision_of_folder(model: str) -> Precision | None:
    """What a model has where none is asked for, if that is known without asking the hub."""
    if model == "demo":
        return Precision()
    return (Checkpoint(model, Path(model)).policy() or Precision()) if os.path.isdir(model) else None


def _plain(precision: Any) -> Any:
    """A precision's words in lower case; a policy as it is."""
    return plain_words(precision) if isinstance(precision, str) else precision
