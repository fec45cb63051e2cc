"""How long a fold takes: the work of the engine's functions at the prices of a calibrated machine.

Every number of passes is taken to run; early stopping makes it less. The pair state is taken to be stored in float32:
half precision changes the memory far more than the time. What comes once a run (imports, loading) is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..families.interface import FoldingFamily, Schedule, Work
from ..pair.tiles import Tiling
from .calibration import Calibration

if TYPE_CHECKING:
    from ..precision import Part, Precision
    from ..residency.placements import WeightLayout

__all__ = ["Seconds", "predict_seconds"]


@dataclass(frozen=True)
class Seconds:
    """Seconds of one record.

    Attributes
    ----------
    stem, trunk : float
        The language model; all passes, and the heads.
    copies : float
        What the record waits for weights of the trunk.
    window_copies : float
        What a window of records, one or many, waits for weights once.
    """

    stem: float
    trunk: float
    copies: float
    window_copies: float

    @property
    def total(self) -> float:
        """Of the record by itself, a window of one."""
        return self.stem + self.trunk + self.copies + self.window_copies


def predict_seconds(
    family: FoldingFamily,
    config: Mapping[str, Any],
    length: int,
    *,
    num_recycles: int,
    precision: Precision,
    placement: str,
    layout: WeightLayout,
    calibration: Calibration | None,
) -> Seconds | None:
    """Seconds that one protein takes.

    Parameters
    ----------
    family : FoldingFamily
        That of the model.
    config : mapping
        The model's, as its `config.json` has it.
    length : int
        Residues, linkers included.
    num_recycles : int
        Further passes after the first.
    precision : Precision
        Resolved for the calibrated device.
    placement : str
        One of `PLACEMENTS`.
    layout : WeightLayout
        Bytes of the layers.
    calibration : Calibration or None
        Of the device.

    Returns
    -------
    Seconds or None
        None where the device has not been calibrated, or not for this precision: nothing is guessed.
    """
    if calibration is None or not _is_calibrated(precision, calibration):
        return None
    schedule = family.cost.schedule(config)
    work = family.cost.work(config, length, Tiling(cache_bytes=calibration.cache_bytes))
    passes = num_recycles + 1

    def of(names: Sequence[str]) -> float:
        return sum(calibration.seconds(name, work[name]) for name in names)

    extra = _stored_extra(precision.trunk, "fp32", schedule.block_weights, length, calibration)
    block = max(0.0, of(schedule.per_block) + extra)
    trunk = passes * (schedule.blocks * block + of(schedule.per_pass)) + of(schedule.once)
    copies, window_copies = _copies(placement, layout, calibration, passes, block)
    return Seconds(_stem_seconds(schedule, length, precision, work["stem"], calibration), trunk, copies, window_copies)


def _compute(part: Part) -> str:
    return part.compute or "fp32"


def _is_calibrated(precision: Precision, calibration: Calibration) -> bool:
    stored = all(f"{p.weights}/{_compute(p)}" in calibration.stored for p in (precision.stem, precision.trunk))
    return stored and _stem(precision) in calibration.prices


def _stem(precision: Precision) -> str:
    """The stem's activations have the dtype that it computes in."""
    compute = _compute(precision.stem)
    return "stem" if compute == "fp32" else f"stem/{compute}"


def _stem_seconds(schedule: Schedule, length: int, precision: Precision, work: Work, calibration: Calibration) -> float:
    extra = _stored_extra(precision.stem, _compute(precision.stem), schedule.stem_weights, length + 2, calibration)
    return max(0.0, calibration.seconds(_stem(precision), work) + extra)


def _stored_extra(part: Part, timed_in: str, weights: int, rows: int, calibration: Calibration) -> float:
    """What products with a part's stored weights take more than with plain ones of the dtype that was timed."""
    per_weight, per_product = (
        a - b
        for a, b in zip(
            calibration.stored[f"{part.weights}/{_compute(part)}"],
            calibration.stored[f"{timed_in}/{timed_in}"],
            strict=True,
        )
    )
    return weights * (per_weight + rows * per_product)


def _copies(
    placement: str, layout: WeightLayout, calibration: Calibration, passes: int, block: float
) -> tuple[float, float]:
    """Seconds of waiting for weights: a record's, and a window's. Those of the stem are taken not to hide behind its
    arithmetic, which on one short protein they do not; those of a block hide behind the block before."""
    if placement == "resident":
        return 0.0, 0.0
    on_cpu = calibration.device_type == "cpu"
    stem, trunk = (layout.stem_converted, layout.trunk_converted) if on_cpu else (layout.stem, layout.trunk)
    rate = calibration.rates["copy"]
    if placement == "staged":
        return 0.0, (sum(stem) + sum(trunk)) / rate
    # A CPU converts with the cores that compute: nothing is hidden.
    hidden = 0.0 if on_cpu else block
    return passes * _exposed(trunk, rate, hidden), sum(stem) / rate


def _exposed(sizes: Sequence[int], rate: float, hidden: float) -> float:
    """Seconds that layers are waited for when each is copied while the one before computes; the first hides nowhere."""
    return sizes[0] / rate + sum(max(0.0, size / rate - hidden) for size in sizes[1:])
