"""The project's claims about accuracy, tried on this machine with the model that is used here.

Fidelity: ours in float32 gives what stock transformers gives on the same weights. After one pass through the trunk the
two differ by rounding alone. Recycling sorts distances into bins, and where one lies on the edge of two, rounding
decides: a pair of residues may then come out another way, so that what is compared after several passes are means.

Drift: each smaller precision beside ours in float32, and all of them beside the experiment.

One model is in memory at a time; what does not fit there is left out, and told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checkpoints.checkpoint import Checkpoint
from ..errors import InputError, first_line
from ..families.interface import FoldingFamily
from ..families.registry import find_folding_model
from .accuracy import Outputs, against_experiment, compare
from .records import Measurement

if TYPE_CHECKING:
    import torch

    from ..predictions.structures import Structure

__all__ = ["BENCHMARK", "LIMITS", "NUM_RECYCLES", "PEER", "Verified", "verify"]

BENCHMARK = "verify"
PEER = "stock chunk_size 64"
NUM_RECYCLES = 3

#: The largest differences from stock that pass, by sample: far above what rounding makes of the demo model, and below
#: what rotary frequencies make of it that are worked out anew instead of taken from the file.
LIMITS: Mapping[str, float] = {
    "one_pass_ca_rmsd_angstrom": 0.001,
    "one_pass_largest_plddt_difference": 0.005,
    "one_pass_largest_pae_difference_angstrom": 0.005,
    "one_pass_ptm_difference": 0.0001,
    "recycled_ca_rmsd_angstrom": 0.05,
    "recycled_plddt_difference": 0.1,
    "recycled_pae_error_angstrom": 0.05,
    "recycled_ptm_difference": 0.001,
}

_KEYS = ("positions", "plddt", "ptm", "pae", "distogram_logits")
Folds = dict[int, list[Outputs]]  # by the number of recycles, of each chain


@dataclass
class Verified:
    """What was found.

    Attributes
    ----------
    measurements : list of Measurement
        Of stock, of ours in fp32, then of each precision. Those of ours in fp32 hold the samples named in LIMITS, the
        others ``fp32_`` and what `accuracy.compare` gives; all of them ``experiment_`` and what
        `accuracy.against_experiment` gives. A sample holds a value a chain.
    """

    measurements: list[Measurement] = field(default_factory=list)

    @property
    def stock(self) -> Measurement:
        return self.measurements[0]

    @property
    def reference(self) -> Measurement:
        """Ours in fp32."""
        return self.measurements[1]

    @property
    def precisions(self) -> list[Measurement]:
        return self.measurements[2:]

    @property
    def excesses(self) -> dict[str, float]:
        """The largest value of each sample that is over its limit."""
        largest = {name: max(map(abs, self.reference.samples.get(name, [0.0]))) for name in LIMITS}
        return {name: value for name, value in largest.items() if not value <= LIMITS[name]}

    @property
    def is_compared(self) -> bool:
        """Whether both stock and ours could fold."""
        return set(LIMITS) <= self.reference.samples.keys()

    @property
    def holds(self) -> bool:
        """Whether ours is shown to be stock's."""
        return self.is_compared and not self.excesses


def verify(
    model: str,
    device: str,
    precisions: Sequence[str],
    chains: Sequence[Structure],
    tell: Callable[[str], None],
) -> Verified:
    """Fold the chains with stock and with ours, and compare.

    Parameters
    ----------
    model : str
        Hub id, local folder in Hugging Face layout, or `demo`.
    device : str
        As of `load`.
    precisions : sequence of str
        Those whose drift is wanted, beside fp32.
    chains : sequence of Structure
    tell : callable
        Called with a line on what is going on.

    Raises
    ------
    InputError
        The model is stored in quantized form, a precision is none, or the device is not here.
    ModelError
        The model cannot be had.
    """
    from ..precision import parse_precision
    from ..system.devices import find_device

    for precision in precisions:
        parse_precision(precision)
    checkpoint, family = find_folding_model(model)
    if checkpoint.policy() is not None:
        raise InputError(
            f"{model} is stored in quantized form, which stock transformers does not read: give the model that it was"
            " made of"
        )
    return _Verification(checkpoint, family, find_device(device), chains, tell).run(precisions)


class _Verification:
    def __init__(
        self,
        checkpoint: Checkpoint,
        family: FoldingFamily,
        device: torch.device,
        chains: Sequence[Structure],
        tell: Callable[[str], None],
    ) -> None:
        from .environment import describe_environment

        self._family, self._checkpoint, self._device, self._chains, self._tell = (
            family,
            checkpoint,
            device,
            chains,
            tell,
        )
        self._environment = describe_environment()

    def run(self, precisions: Sequence[str]) -> Verified:
        verified = Verified()
        stock, ours = Folds(), Folds()
        with self._measured(verified, PEER, None) as measured:
            self._refuse_what_does_not_fit()
            stock |= self._stock_folds()
            measured.samples |= self._experiment(stock)
        with self._measured(verified, "lowmem_fold", "fp32") as measured:
            ours |= self._our_folds("fp32", (0, NUM_RECYCLES), measured)
            measured.samples |= self._experiment(ours)
            if stock:
                measured.samples |= _fidelity(ours, stock)
        for precision in precisions:
            with self._measured(verified, "lowmem_fold", precision) as measured:
                found = self._our_folds(precision, (NUM_RECYCLES,), measured)
                measured.samples |= self._experiment(found)
                if ours:
                    pairs = zip(found[NUM_RECYCLES], ours[NUM_RECYCLES], strict=True)
                    measured.samples |= _columns("fp32", [compare(*pair) for pair in pairs])
        return verified

    @contextmanager
    def _measured(self, verified: Verified, code: str, precision: str | None) -> Iterator[_Found]:
        """A record of what happens within: what does not fit, or cannot be had here, is a result too."""
        from ..memory.exhaustion import is_out_of_memory, release_memory

        found, status, reason = _Found(), "ok", None
        try:
            yield found
        except Exception as error:
            if is_out_of_memory(error):
                status, reason = "oom", first_line(error)
            elif isinstance(error, InputError):
                status, reason = "refused", str(error)
            else:  # hours of folding may be behind it, and more may come
                status, reason = "failed", first_line(error)
        release_memory()
        requested = {
            "code": code,
            "model": self._checkpoint.short_name,
            "precision": precision,
            "num_recycles": NUM_RECYCLES,
        }
        resolved = {
            "fingerprint": self._checkpoint.fingerprint(),
            "device": self._device.type,
            "chains": [chain.id for chain in self._chains],
            "lengths": [chain.length for chain in self._chains],
            **found.resolved,
        }
        made = Measurement(
            BENCHMARK, requested, resolved, self._environment, found.samples, status, reason and self._private(reason)
        )
        verified.measurements.append(made)

    def _private(self, text: str) -> str:
        """Without the folders of this machine."""
        for path, name in ((self._checkpoint.path, self._checkpoint.short_name), (Path.home(), "~")):
            text = text.replace(str(path), name)
        return text

    def _refuse_what_does_not_fit(self) -> None:
        """Stock's weights and activations, in what is free now."""
        from ..memory.budget import format_memory
        from ..memory.reserve import reserve_bytes
        from ..planning.cards import stock_bytes

        self._tell("looking what fits into memory")
        plans = self._planner("fp32").plans(self._longest, presets=False)
        resident = next(plan for plan in plans.plans if plan.placement == "resident")
        peak = resident.weight_bytes + int(stock_bytes(self._family, 64)(self._longest))
        needed = peak + reserve_bytes(str(self._device), peak)
        if plans.memory_bytes is not None and needed > plans.memory_bytes:
            raise InputError(
                f"stock transformers needs about {format_memory(needed)} for {self._longest} residues, and "
                f"{format_memory(plans.memory_bytes)} are free"
            )

    def _planner(self, precision: str) -> Any:
        from ..planning.plan import Planner

        return Planner(None, self._checkpoint.name, precision, str(self._device), None, None, NUM_RECYCLES)

    @property
    def _longest(self) -> int:
        return max(chain.length for chain in self._chains)

    def _stock_folds(self) -> Folds:
        from .peers import PEERS

        self._tell(f"loading stock transformers in fp32 on {self._device}")
        fold = PEERS[PEER].load(self._checkpoint.path, self._device)
        return self._folds("stock", fold, (0, NUM_RECYCLES))

    def _our_folds(self, precision: str, recycles: Sequence[int], found: _Found) -> Folds:
        from ..loading import load

        plans = self._planner(precision).plans(self._longest, presets=False)
        if plans.chosen is None:
            raise InputError(f"{plans.reason}. " + "; ".join(plans.alternatives))
        placement = plans.chosen.placement
        self._tell(f"loading ours in {precision}, {placement}")
        folder = load(self._checkpoint.name, precision=precision, device=self._device, placement=placement)
        about = folder.describe()
        found.resolved |= {"placement": placement, "resolved_precision": about["resolved_precision"]}

        def fold(sequence: str, num_recycles: int) -> Outputs:
            prediction = folder.fold(sequence, num_recycles=num_recycles, distogram=True)
            return {key: getattr(prediction, key) for key in _KEYS}

        return self._folds(precision, fold, recycles)

    def _folds(self, name: str, fold: Callable[[str, int], Outputs], recycles: Sequence[int]) -> Folds:
        found: Folds = {number: [] for number in recycles}
        for chain in self._chains:
            self._tell(f"{name}: {chain.id}, {chain.length} residues")
            for number in recycles:
                found[number].append(fold(chain.sequence, number))
        return found

    def _experiment(self, folds: Folds) -> dict[str, list[float]]:
        pairs = zip(folds[NUM_RECYCLES], self._chains, strict=True)
        return _columns("experiment", [against_experiment(*pair) for pair in pairs])


@dataclass
class _Found:
    """Of one record, as far as it has come."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    resolved: dict[str, Any] = field(default_factory=dict)


def _fidelity(ours: Folds, stock: Folds) -> dict[str, list[float]]:
    """The samples named in LIMITS."""
    rows = []
    for once, once_stock, last, last_stock in zip(
        ours[0], stock[0], ours[NUM_RECYCLES], stock[NUM_RECYCLES], strict=True
    ):
        recycled = compare(last, last_stock)
        row = {
            "one_pass_ca_rmsd_angstrom": compare(once, once_stock)["ca_rmsd_angstrom"],
            "one_pass_largest_plddt_difference": _largest(once, once_stock, "plddt"),
            "one_pass_largest_pae_difference_angstrom": _largest(once, once_stock, "pae"),
            "one_pass_ptm_difference": _largest(once, once_stock, "ptm"),
            "recycled_ca_rmsd_angstrom": recycled["ca_rmsd_angstrom"],
            "recycled_plddt_difference": recycled["plddt_difference"],
            "recycled_pae_error_angstrom": recycled["pae_error_angstrom"],
            "recycled_ptm_difference": _largest(last, last_stock, "ptm"),
        }
        rows.append(row)
    return {name: [row[name] for row in rows] for name in LIMITS}


def _largest(outputs: Outputs, reference: Outputs, key: str) -> float:
    return float(np.max(np.abs(np.asarray(outputs[key], dtype=np.float64) - reference[key])))


def _columns(prefix: str, rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """A list for each name that all the rows have."""
    names = [name for name in rows[0] if all(math.isfinite(row.get(name, math.nan)) for row in rows)]
    return {f"{prefix}_{name}": [row[name] for row in rows] for name in names}
