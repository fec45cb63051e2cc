"""Which placements and precisions of a model fit a budget, which of them is to be taken, and why.

>>> import lowmem_fold as lf
>>> plans = lf.plan(1200, "8GB", device="cuda", precision="fp16")
>>> plans.chosen.placement, plans.chosen.peak_bytes, plans.reason

A budget has to hold the peak of torch's tensors, weights included, and a reserve for what is no tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..memory.budget import format_memory, parse_memory
from ..memory.capacity import host_capacity, usable_bytes
from ..memory.reserve import reserve_bytes
from ..precision import PRESETS, Precision, parse_precision
from ..system.devices import device_here, device_word, named_device
from .calibration import Calibration, cached, calibrate
from .facts import Facts, FactSource, Placed
from .longest import longest
from .options import check_placing

if TYPE_CHECKING:
    from ..residency import WeightLayout
    from .seconds import Seconds

__all__ = ["Plan", "Planner", "Plans", "plan"]


@dataclass(frozen=True)
class Plan:
    """One precision in one placement.

    Attributes
    ----------
    precision, placement : str
    peak_bytes : int
        Most bytes of tensors on the device at once.
    phase : str
        The one that needs them.
    weight_bytes : int
        The weights' part in that phase.
    reserve_bytes : int
        What else a budget has to hold: see `reserve_bytes`.
    host_bytes : int
        Weights that wait in host memory, beside a device of its own memory.
    seconds : float or None
        Predicted for the record by itself; None where the speed of the device is not known (`calibration`).
    shared_seconds : float or None
        The part of these that many records take once: for weights that come once a window.
    possible : bool
        Whether any budget would do: the model can have the placement there.
    refusal : str or None
        Why it cannot be taken; None if it can.
    """

    precision: str
    placement: str
    peak_bytes: int
    phase: str
    weight_bytes: int
    reserve_bytes: int
    host_bytes: int
    seconds: float | None
    shared_seconds: float | None
    possible: bool
    refusal: str | None

    @property
    def needed_bytes(self) -> int:
        """The smallest budget."""
        return self.peak_bytes + self.reserve_bytes


@dataclass(frozen=True)
class Plans:
    """All that was weighed for one record.

    Attributes
    ----------
    length : int
        Residues, linkers between chains included.
    model, device, precision : str
        What was asked for.
    memory_bytes : int or None
        The budget; None if none was given and the device is not here.
    num_recycles : int
    plans : tuple of Plan
        Those of the precision asked for come first, and the faster before the smaller.
    chosen : Plan or None
        The fastest of the precision asked for that fits; None if none does.
    reason : str
        Why that one, or why none.
    alternatives : tuple of str
        If none fits: what would.
    """

    length: int
    model: str
    device: str
    precision: str
    memory_bytes: int | None
    num_recycles: int
    plans: tuple[Plan, ...]
    chosen: Plan | None
    reason: str
    alternatives: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, sizes in bytes."""
        return asdict(self)


def plan(
    length: int,
    memory: str | int | None = None,
    *,
    model: str = DEFAULT_MODEL,
    precision: str | Precision | None = None,
    device: str = "auto",
    placement: str | None = None,
    host_memory: str | int | None = None,
    num_recycles: int = 3,
) -> Plans:
    """What folding a protein takes in each placement and precision, and which of them to take.

    Neither the weights nor the device need be here, and nothing is fetched.

    Parameters
    ----------
    length : int
        Residues; a linker of 25 between chains counts.
    memory : str or int, optional
        Budget: `8GB` (8 x 10^9 bytes), `8GiB`, or bytes. By default what is free on the device.
    model : str
        As of `load`.
    precision : str or Precision, optional
        What is wanted: by default that of a quantized folder, else fp32. The presets are weighed beside it.
    device : str
        `cpu`, `cuda`, `cuda:N`, `mps`, or `auto`: CUDA where there is one, else the CPU.
    placement : str, optional
        `resident`, `staged` or `streamed`: no other is chosen.
    host_memory : str or int, optional
        What waiting weights may take of main memory, beside a device of its own.
    num_recycles : int
        Passes after the first.

    Raises
    ------
    InputError
        An argument is out of range, or the device has no such precision.
    ModelError
        The model is not known here.
    """
    planner = Planner(memory, model, precision, device, placement, host_memory, num_recycles)
    return planner.plans(length)


class Planner:
    """Plans for many lengths under one budget; the arguments are those of `plan`."""

    def __init__(
        self,
        memory: str | int | None,
        model: str,
        precision: str | Precision | None,
        device: str,
        placement: str | None,
        host_memory: str | int | None,
        num_recycles: int,
    ) -> None:
        check_placing(model, device_word(device), memory, host_memory, placement)
        self._memory = None if memory is None else parse_memory(memory)
        self._host_memory = None if host_memory is None else parse_memory(host_memory)
        self._placement = placement
        self._device = named_device(device)
        self._num_recycles = num_recycles
        self._source = FactSource(model, self._device.partition(":")[0], num_recycles)
        self._source.family.check_options(num_recycles=num_recycles)
        self.precision = str(self._source.asked_precision(precision))
        is_here = device_here(self._device) is not None
        if self._memory is None and is_here:
            self._memory = _free_bytes(self._device)
        self._calibration = cached(self._device, self._source.family) if is_here else None

    @property
    def knows_speed(self) -> bool:
        """Whether plans say seconds: the device is here, and its speed was measured."""
        return self._calibration is not None

    def calibrate(self) -> Calibration:
        """Measure the device, which has to be here, about 10 seconds of it: plans say seconds from then on."""
        self._calibration = calibrate(self._device, self._source.family)
        return self._calibration

    def plans(self, length: int, *, presets: bool = True) -> Plans:
        """For one record. presets: whether they are weighed beside the precision asked for."""
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise InputError(f"length must be a whole number of residues, 1 or more; it is {length!r}")
        others = [name for name in PRESETS if name != self.precision] if presets and not self._source.policy else []
        found = self._weighed(length, [self.precision, *others])
        chosen = next((p for p in found if self._is_asked(p) and p.refusal is None), None)
        return Plans(
            length,
            self._source.model,
            self._device,
            self.precision,
            self._memory,
            self._num_recycles,
            tuple(found),
            chosen,
            self._reason(chosen, found),
            () if chosen else tuple(self._alternatives(length, found)),
        )

    def chosen(self, length: int) -> Plan | None:
        """Return the fastest plan of the precision asked for that fits; None if none does."""
        return next((plan for plan in self._weighed(length, [self.precision]) if self._fits(plan)), None)

    def _weighed(self, length: int, precisions: Iterable[str]) -> list[Plan]:
        facts = self._source.at(length, list(precisions))
        return [
            self._weigh(length, precision, of_one, placement)
            for precision, of_one in facts.items()
            for placement in of_one.placements
        ]

    def _weigh(self, length: int, precision: str, facts: Facts, placement: str) -> Plan:
        placed = facts.placements[placement]
        peaks = {phase: placed.phases[phase] + facts.activations[phase] for phase in self._source.family.phases}
        phase = max(peaks, key=peaks.__getitem__)
        peak = peaks[phase]
        refusal = placed.refusal or self._host_shortage(placed)
        made = Plan(
            precision=precision,
            placement=placement,
            peak_bytes=peak,
            phase=phase,
            weight_bytes=placed.phases[phase],
            reserve_bytes=reserve_bytes(self._device, peak),
            host_bytes=placed.host,
            seconds=None,
            shared_seconds=None,
            possible=refusal is None,
            refusal=refusal,
        )
        if self._memory is not None and made.needed_bytes > self._memory and made.possible:
            made = replace(made, refusal=f"needs {format_memory(made.needed_bytes)}")
        seconds = self._seconds(length, facts, placement)
        return made if seconds is None else replace(made, seconds=seconds.total, shared_seconds=seconds.window_copies)

    def _seconds(self, length: int, facts: Facts, placement: str) -> Seconds | None:
        if self._calibration is None:
            return None
        from .seconds import predict_seconds

        return predict_seconds(
            self._source.family,
            self._source.config,
            length,
            num_recycles=self._num_recycles,
            precision=parse_precision(facts.resolved),
            placement=placement,
            layout=cast("WeightLayout", SimpleNamespace(**facts.layout)),
            calibration=self._calibration,
        )

    def _host_shortage(self, placed: Placed) -> str | None:
        if self._host_memory is None or placed.from_file or placed.host <= self._host_memory:
            return None
        return f"needs {format_memory(placed.host)} of host memory"

    def _is_asked(self, found: Plan) -> bool:
        return found.precision == self.precision and self._placement in (None, found.placement)

    def _reason(self, chosen: Plan | None, found: list[Plan]) -> str:
        asked = [each for each in found if self._is_asked(each)]
        budget = "" if self._memory is None else f" in {format_memory(self._memory)}"
        if chosen is None:
            why = "; ".join(f"{each.placement} {each.refusal}" for each in asked)
            return f"{self.precision} does not fit{budget}: {why}"
        if self._placement:
            return f"{chosen.placement}, as asked for, fits{budget}"
        if self._memory is None:
            return f"{chosen.placement} is the fastest placement (no memory was given, and the device is not here)"
        faster = "".join(f"; {each.placement} {each.refusal}" for each in asked[: asked.index(chosen)])
        return f"{chosen.placement} is the fastest placement that fits{budget}{faster}"

    def _alternatives(self, length: int, found: list[Plan]) -> Iterable[str]:
        """What would fit: fewer residues, another precision, a larger budget."""
        shorter = self.longest(self.precision)
        if shorter:
            yield f"{shorter:,} residues would fit in {self.precision}"
        others = [each for each in found if each.precision != self.precision]
        if parse_precision(self.precision).pair == "fp32":
            others += self._weighed(length, [_with_half_pair(self.precision)])
        fitting = {each.precision: each for each in reversed(others) if self._fits(each)}
        for each in reversed(fitting.values()):
            yield f"{each.precision} would fit ({each.placement}, {format_memory(each.needed_bytes)})"
        possible = [each for each in found if self._is_asked(each) and each.possible]
        if possible:
            smallest = min(possible, key=lambda each: each.needed_bytes)
            yield (
                f"{format_memory(smallest.needed_bytes)} would do for {length:,} residues in {self.precision}"
                f" ({smallest.placement})"
            )

    def _fits(self, found: Plan) -> bool:
        return found.refusal is None and self._placement in (None, found.placement)

    def longest(self, precision: str) -> int:
        """Most residues, to STEP, for which a placement fits; 0 if there is none."""
        if self._memory is None:
            return 0

        return longest(lambda length: self._needed(length, precision), self._memory)

    def _needed(self, length: int, precision: str) -> float:
        """The smallest budget of all placements that can be had."""
        weighed = self._weighed(length, [precision])
        possible = (each for each in weighed if each.possible and self._placement in (None, each.placement))
        return min((each.needed_bytes for each in possible), default=math.inf)


def _free_bytes(device: str) -> int | None:
    if not device.startswith("cuda"):  # torch, which takes seconds, is not needed
        return host_capacity().free_bytes
    import torch

    target, count = torch.device(device), torch.cuda.device_count()
    if (target.index or 0) >= count:
        raise InputError(f"device {device} is not here: this machine has {count}. Give --memory to plan for another")
    return usable_bytes(target)


def _with_half_pair(precision: str) -> str:
    return str(replace(parse_precision(precision), pair="fp16"))
