"""Records of sweeps in the order in which people look at them: by model and machine, then by way and length."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .configuration import OURS
from .measure import BENCHMARK
from .records import Measurement

__all__ = ["ACTIVATIONS", "PEAKS", "RANDOM", "Group", "groups", "way_of"]

#: Models of random weights: their values change neither memory nor time, and their structures say nothing.
RANDOM = ("stand-in",)

#: What a peak may have been read by, what says most exactly what a fold takes first: sample, and what it counts.
PEAKS = {
    "allocated_peak_bytes": "tensors on the card by torch's allocator, weights included",
    "anonymous_peak_bytes": "anonymous memory of the process, Python and libraries included",
    "resident_peak_bytes": "resident memory of the process, Python, libraries and mapped files included",
}
#: Tensors that a fold makes, without the weights.
ACTIVATIONS = "live_peak_bytes"


@dataclass(frozen=True)
class Group:
    """Records that can be compared: one model on one machine, with as many recycles.

    Attributes
    ----------
    model, machine : str
        The machine is the card where there was one, else the processor.
    num_recycles : int
    records : dict of (str, int) to Measurement
        By way of folding (`way_of`) and residues, in the order measured; the latest of each.
    """

    model: str
    machine: str
    num_recycles: int
    records: dict[tuple[str, int], Measurement]

    @property
    def title(self) -> str:
        recycles = f"{self.num_recycles} recycle{'' if self.num_recycles == 1 else 's'}"
        return f"{self.model} on {self.machine}, {recycles}"

    @property
    def ways(self) -> list[str]:
        """As they come first; ours before the others."""
        ways = dict.fromkeys(way for way, _ in self.records)
        return sorted(ways, key=lambda way: not way.startswith(OURS))

    @property
    def lengths(self) -> list[int]:
        return sorted({length for _, length in self.records})

    @property
    def peak(self) -> str | None:
        """The first of PEAKS that every finished record has; None if there is none."""
        finished = [record for record in self.records.values() if record.status == "ok"]
        has = (name for name in PEAKS if finished and all(name in record.samples for record in finished))
        return next(has, None)

    def values(self, way: str, length: int, name: str) -> Sequence[float]:
        """Samples of a finished record; empty where there are none."""
        record = self.records.get((way, length))
        return record.samples.get(name, ()) if record and record.status == "ok" else ()

    def curve(self, way: str, name: str) -> list[tuple[int, float]]:
        """Residues and the median of the samples; of bytes the most."""
        middle = max if name.endswith("bytes") else statistics.median
        found = ((length, self.values(way, length, name)) for length in self.lengths)
        return [(length, middle(values)) for length, values in found if values]

    def ratios(self, way: str, reference: str, name: str) -> list[tuple[int, float]]:
        """Of the curves, at the lengths that both have."""
        before = dict(self.curve(reference, name))
        return [(length, value / before[length]) for length, value in self.curve(way, name) if before.get(length)]

    def over_chains(self, way: str, name: str) -> list[float]:
        """The samples of all lengths, each of which is a chain of its own."""
        return [value for length in self.lengths for value in self.values(way, length, name)]

    def lost(self, way: str) -> list[int]:
        """Lengths that were tried and gave no fold."""
        return [length for (name, length), record in self.records.items() if name == way and record.status != "ok"]


def groups(measurements: Iterable[Measurement]) -> list[Group]:
    """Of the records of sweeps, which may stand among others."""
    found: dict[tuple, Group] = {}
    for each in measurements:
        if each.benchmark == BENCHMARK:
            model, recycles, machine = each.requested["model"], each.requested["num_recycles"], _machine(each)
            weights = None if model in RANDOM else each.resolved.get("fingerprint")
            key = (model, weights, machine, recycles)
            group = found.setdefault(key, Group(model, machine, recycles, {}))
            group.records[way_of(each), each.requested["length"]] = each
    return list(found.values())


def way_of(measurement: Measurement) -> str:
    """The code, and of ours the precision, the placement and what else was asked for."""
    asked, resolved = measurement.requested, measurement.resolved
    words = [asked["code"]]
    if asked["code"] == OURS:
        words[0] += f" {asked['precision'] or resolved.get('precision', 'as stored')}"
        words.append(asked["placement"] or resolved.get("placement", "placed by the planner"))
    if asked["chunk_size"] is not None:
        words.append(f"{asked['chunk_size']} rows")
    if asked.get("memory"):
        words.append(f"within {asked['memory']}")
    return ", ".join(words)


def _machine(measurement: Measurement) -> str:
    """The name of what it ran on; of a process that ended before it knew, of what it would have run on."""
    environment: Any = measurement.environment
    device = measurement.resolved.get("device", measurement.requested["device"])
    if device == "auto":
        device = "cuda" if environment["gpu_driver"] else "cpu"
    kind, _, index = device.partition(":")
    if kind == "cpu" or not environment["gpus"]:
        return f"{environment['cpu']['model']}, {environment['cpu']['cores']} cores"
    return str(environment["gpus"][int(index or 0)]["name"])
