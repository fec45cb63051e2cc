"""One configuration, measured by the process that it has for itself: `python -m lowmem_fold.bench.measure` reads it as
JSON on standard input and writes the record's line.

After loading one fold warms up (`first_seconds`). Then the same fold is repeated until its time is stable: until the
slowest of the last STABLE_FOLDS is less than SPREAD slower than the fastest (as a part of their median), or as many
folds are taken as the configuration says, or STEADY_SECONDS or half of the time limit have gone by. A last fold runs
under a ledger of tensors where that costs little.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import BudgetError, InputError, first_line
from ..families.registry import find_folding_model
from .chains import chain_of
from .clock import PhaseClock, now
from .configuration import OURS, Configuration
from .measured_fold import Fold, OurFold, PeersFold
from .meters import Meters, free_before_context
from .records import Measurement
from .references import LONGEST, load_outputs, reference_path, save_outputs

if TYPE_CHECKING:
    from .accuracy import Outputs

__all__ = [
    "BENCHMARK",
    "LEDGER_SECONDS",
    "SPREAD",
    "STABLE_FOLDS",
    "STEADY_SECONDS",
    "is_stable",
    "measure",
    "timeout_reason",
]

BENCHMARK = "sweep"
STABLE_FOLDS = 3
SPREAD = 0.05
STEADY_SECONDS = 60.0
WARM_UP_SECONDS = 60.0
"""Where one fold is asked for and takes longer, it is the one that counts: starting takes a second or two."""
LEDGER_SECONDS = 5.0
"""A fold that takes less is repeated under the ledger."""


def measure(
    configuration: Configuration, references: Path | None = None, limit_seconds: float = math.inf
) -> Measurement:
    """Load and fold in this process, which should have done nothing else, and tell what it took.

    Parameters
    ----------
    configuration : Configuration
    references : Path, optional
        Folder of the outputs to compare with; those of `Configuration.is_reference` are written there.
    limit_seconds : float
        When this process is going to be stopped.

    Returns
    -------
    Measurement
        Running out of memory, a refusal and any other error are records too, with the samples taken before.
    """
    run = _Run(configuration, references, time.perf_counter() + limit_seconds / 2)
    return run.finished()


@dataclass
class _Run:
    """What is known so far: samples, and what of the configuration was resolved."""

    configuration: Configuration
    references: Path | None
    half_time: float
    samples: dict[str, list[Any]] = field(default_factory=dict)
    resolved: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from ..system.devices import find_device
        from .environment import describe_environment

        # The driver is asked before torch touches the card: `auto` is decided without doing so.
        asked = self.configuration.device
        self._free_before = free_before_context(str(find_device(asked)) if asked == "auto" else asked)
        self.environment = describe_environment()
        self.checkpoint = find_folding_model(self.configuration.model)[0]
        self.device = find_device(asked)
        structure = chain_of(self.configuration.length)[1]
        self.resolved |= {
            "model": self.checkpoint.short_name,
            "fingerprint": self.checkpoint.fingerprint(),
            "device": str(self.device),
            "chain": structure.id if structure else "made of known chains",
            "warm_up_folds": 1,
        }

    def finished(self) -> Measurement:
        """The record, once all is measured."""
        status, reason = self.outcome()
        self.predict()
        return self.record(status, reason)

    def record(self, status: str, reason: str | None) -> Measurement:
        """Of what there is so far."""
        requested = self.configuration.recorded(self.checkpoint.short_name)
        return Measurement(BENCHMARK, requested, self.resolved, self.environment, self.samples, status, reason)

    def cut_short(self, limit_seconds: float) -> Measurement:
        """The record at the end of the time, taken beside the thread that measures: whole if a fold has been timed."""
        self.samples = {name: list(values) for name, values in list(self.samples.items())}
        self.resolved = dict(self.resolved)
        if self.samples.get("seconds"):
            self.resolved["repeats_ended_by"] = "limit"
            return self.record("ok", None)
        return self.record("timeout", timeout_reason(limit_seconds, self.samples.get("first_seconds")))

    def outcome(self) -> tuple[str, str | None]:
        """Load, fold, compare; status and reason."""
        from ..memory.exhaustion import is_out_of_memory

        loaded = False
        try:
            with self._budget():
                fold = self._loaded()
                loaded = True
                self._folds(fold)
        except Exception as error:  # each library of a peer raises its own; a record of it is wanted all the same
            if is_out_of_memory(error):
                return "oom", first_line(error)
            if isinstance(error, BudgetError) or (isinstance(error, InputError) and not loaded):
                return "refused", str(error)
            _trace()
            return "failed", first_line(error)
        return "ok", None

    def _budget(self) -> AbstractContextManager[None]:
        from ..memory.budget import parse_memory
        from ..memory.limit import enforced

        memory = self.configuration.memory
        return nullcontext() if memory is None else enforced(self.device, parse_memory(memory))

    def _loaded(self) -> Fold:
        kind = OurFold if self.configuration.code == OURS else PeersFold
        start = time.perf_counter()
        with self._meters() as meters:
            fold = kind(self.configuration, self.checkpoint, self.device)
            seconds = now(self.device) - start
        self._add({"load_seconds": seconds, **{f"load_{name}": size for name, size in meters.peaks.items()}})
        self.resolved |= fold.about()
        return fold

    def _folds(self, fold: Fold) -> None:
        with self._meters() as meters:
            outputs, seconds, phases = self._timed(fold, distogram=self._compares)
        if seconds > WARM_UP_SECONDS and self.configuration.repeats == 1:
            self.resolved["warm_up_folds"] = 0
            self._add({"seconds": seconds, **phases, **meters.peaks})
        self._add({"first_seconds": seconds, "ptm": float(outputs["ptm"])})
        self._add({"mean_plddt": float(outputs["plddt"].mean())})
        try:
            self._compare(outputs)
        except ModuleNotFoundError as error:  # a machine to measure on may lack biotite
            self.resolved["accuracy_missing"] = first_line(error)
        del outputs
        self._steady(fold)
        if statistics.median(self.samples["seconds"]) < LEDGER_SECONDS:
            self._live_peak(fold)

    def _steady(self, fold: Fold) -> None:
        start, taken = time.perf_counter(), self.samples.setdefault("seconds", [])
        while not (why := self._why_enough(taken, start)):
            with self._meters() as meters:
                _, seconds, phases = self._timed(fold, distogram=False)
            self._add({"seconds": seconds, **phases, **meters.peaks})
        self.resolved["repeats_ended_by"] = why

    def _why_enough(self, taken: list[float], start: float) -> str:
        """What ends the repeats; empty while they go on."""
        moment = time.perf_counter()
        if taken and (moment > self.half_time or moment - start > STEADY_SECONDS):
            return "seconds"
        if len(taken) >= self.configuration.repeats:
            return "repeats"
        return "stable" if is_stable(taken) else ""

    def _timed(self, fold: Fold, *, distogram: bool) -> tuple[Outputs, float, dict[str, float]]:
        clock, start = PhaseClock(self.device), now(self.device)
        outputs = fold(clock, distogram=distogram)
        clock.stop()
        seconds = time.perf_counter() - start
        return outputs, seconds, {f"{phase}_seconds": taken for phase, taken in clock.seconds.items()}

    def _live_peak(self, fold: Fold) -> None:
        from ..memory.ledger import Ledger

        try:
            with Ledger() as ledger:
                fold(PhaseClock(self.device), distogram=False)
        except Exception as error:  # a tensor subclass that no ledger can look into
            self.resolved["live_peak_missing"] = first_line(error)
        else:
            self._add({"live_peak_bytes": ledger.peak_bytes})

    @property
    def _compares(self) -> bool:
        return self.configuration.length <= LONGEST

    def _compare(self, outputs: Outputs) -> None:
        """With the reference, and with the experiment where the chain is known."""
        from .accuracy import against_experiment, compare

        if not self._compares:
            return
        structure = chain_of(self.configuration.length)[1]
        if structure is not None:
            self._add(_prefixed("experiment", against_experiment(outputs, structure)))
        if self.references is None:
            return
        path = reference_path(self.references, self.configuration, self.resolved["fingerprint"])
        if self.configuration.is_reference:
            save_outputs(path, outputs)
        elif (reference := load_outputs(path)) is not None:
            self._add(_prefixed("fp32", compare(outputs, reference)))

    def predict(self) -> None:
        """What the planner says of it: of our code, in blocks of the usual height. It says nothing where it cannot."""
        from ..planning.plan import Planner

        asked = self.configuration
        if asked.code != OURS or asked.chunk_size is not None:
            return
        placement = self.resolved.get("placement", asked.placement)
        try:
            planner = Planner(
                asked.memory, asked.model, asked.precision, str(self.device), None, None, asked.num_recycles
            )
            plans = planner.plans(asked.length, presets=False).plans
        except InputError:
            return
        for plan in plans:
            if plan.placement == placement:
                self._add({"predicted_peak_bytes": plan.peak_bytes, "predicted_process_bytes": plan.needed_bytes})
                if plan.seconds is not None:
                    self._add({"predicted_seconds": plan.seconds})

    def _meters(self) -> Meters:
        return Meters(str(self.device), self._free_before)

    def _add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                taken = self.samples.setdefault(name, [])
                taken.append(value if name.endswith("bytes") else round(value, 6))


def timeout_reason(limit_seconds: float, first_seconds: Sequence[float] | None = None) -> str:
    """What a record says of a configuration that took too long. first_seconds: of the fold that warmed up, if any."""
    first = f"; its first fold took {first_seconds[0]:.1f} s" if first_seconds else ""
    return f"not done after {limit_seconds:g} s{first}"


def is_stable(seconds: list[float]) -> bool:
    """Whether the last few differ little."""
    last = seconds[-STABLE_FOLDS:]
    return len(last) == STABLE_FOLDS and max(last) - min(last) < SPREAD * statistics.median(last)


def _prefixed(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _trace() -> None:
    import traceback

    traceback.print_exc(file=sys.stderr)


def _record_stream() -> TextIO:
    """Standard output, for the record alone: what libraries print goes to standard error from now on."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


def _give_up(run: _Run, limit_seconds: float, stream: TextIO, turn: threading.Lock) -> None:
    """At the end of the time: the record with the samples so far, and no more of this process."""
    with turn:
        if not stream.closed:
            print(run.cut_short(limit_seconds).to_line(), file=stream, flush=True)
            os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, help="folder of the outputs to compare with [compare with none]")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which this process is stopped")
    options = parser.parse_args()
    configuration = Configuration.from_dict(json.loads(sys.stdin.read()))
    run = _Run(configuration, options.references, time.perf_counter() + options.limit / 2)
    with _record_stream() as stream:
        turn = threading.Lock()  # of the one who writes
        given = (run, options.limit, stream, turn)
        timer = threading.Timer(min(options.limit, threading.TIMEOUT_MAX), _give_up, given)
        timer.daemon = True
        timer.start()
        found = run.finished()
        with turn:
            timer.cancel()
            print(found.to_line(), file=stream)
            stream.close()


if __name__ == "__main__":
    main()
