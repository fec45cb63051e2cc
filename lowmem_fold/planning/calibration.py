"""How fast this machine is: what the engine's functions take on a device, measured once and cached.

Matrix products alone tell little of a trunk that norms, gates and copies of memory hold up. So each function of a
family's engine is timed itself, on random weights, in the widths of its published model and in narrow ones, at a few
short lengths; and the price of each quantity of its work (`families.interface.Work`) is fitted to that. With these
prices other lengths and widths are predicted. Lengths are added, each up to three times the last, as long as the time
allows.

On a CPU the parts of a function's work add up. On a GPU the host starts operations while the device computes, so that
it takes the longer of the two: starting them all, or computing them. That has been seen on no GPU yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..families.interface import Cost, FoldingFamily, Work
from ..pair.tiles import Tiling
from ..system.cache import read_json, write_json
from ..system.machine import cpu_model
from ..system.versions import installed_version, package_version

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Calibration", "cached", "calibrate", "fitted"]

#: Time for the functions; building the models and the basic rates come to it.
BUDGET_SECONDS = 7.0
LENGTHS = (16, 64, 96, 128, 192, 384, 768)
REPEATS = (3, 2)  # at the first two lengths, at the others
_GROWTH = 1.75  # of the seconds with the length, for choosing the next one
_SCHEMA_VERSION = 1
_STORED_REPEATS = 5
# Any product costs at least this part of what a large one does, whose measurement has an error too.
_LEAST_PRICE = 0.8
# A function counts as computing, not starting operations, where it takes so many times what starting them takes.
_COMPUTING = 1.5


@dataclass(frozen=True)
class Calibration:
    """What was measured of a device.

    Attributes
    ----------
    device_type : str
        cpu, cuda or mps.
    facts : mapping
        What the device was known by, and the versions of the code.
    threads : int
        Of torch, on the CPU.
    cache_bytes : int
        Of the `Tiling` that the engine had there, and has by default.
    rates : mapping of str to float
        Multiply-adds a second of large matrix products by dtype (`fp32`, ...), and of the `attention` and the
        `triangle` products of a long protein; bytes a second of `copy`, from host to device.
    prices : mapping of str to mapping of str to float
        Seconds for each unit of the quantities of `work.Work`, by function. `stem/fp16` is the stem in that dtype.
    stored : mapping of str to list of two floats
        Seconds for each weight, and for each multiply-add, of a product with a stored matrix: by its format and the
        dtype computed in, `int8/fp32`.
    samples : sequence of mapping
        What the prices were fitted to: function, model, length, work, and the seconds of each turn. The least counts:
        what else the machine does only ever makes a call slower.
    """

    device_type: str
    facts: Mapping[str, Any]
    threads: int
    cache_bytes: int
    rates: Mapping[str, float]
    prices: Mapping[str, Mapping[str, float]]
    stored: Mapping[str, list[float]]
    samples: Sequence[Mapping[str, Any]]
    schema_version: int = _SCHEMA_VERSION

    @property
    def spread(self) -> float:
        """How much slower the slowest turn was than the fastest, the median of all: 1 on a machine with nothing else to
        do. Measured on a busy one, prices are too high, and by how much is chance."""
        return statistics.median(max(sample["seconds"]) / min(sample["seconds"]) for sample in self.samples)

    def seconds(self, function: str, work: Work) -> float:
        """What a function takes for its work."""
        return _priced(self.prices[function], work, self.device_type != "cpu")


def cached(device: str | torch.device, family: FoldingFamily) -> Calibration | None:
    """The calibration of `cpu`, `cuda`, `cuda:N` or `mps` for a family if there is one; measures nothing.

    That of a CPU is found without torch.
    """
    facts = _facts(str(device), family)
    found = _from_json(read_json(_name(facts)), family)
    if found is None or dict(found.facts) != facts:
        return None
    torch = sys.modules.get("torch")
    if facts["device"] == "cpu" and torch is not None and torch.get_num_threads() != found.threads:
        return None
    return found


def calibrate(device: str | torch.device, family: FoldingFamily) -> Calibration:
    """Measure a device with the functions of a family, about 10 seconds of it, and cache the result."""
    import torch

    target = torch.device(device)
    facts = _facts(str(device), family)
    samples, rates = list(_samples(target, family.cost)), _rates(target)
    calibration = Calibration(
        device_type=target.type,
        facts=facts,
        threads=torch.get_num_threads(),
        cache_bytes=Tiling.for_device(target).cache_bytes,
        rates=rates,
        prices=_prices(samples, rates, target.type != "cpu", family.cost),
        stored=_stored(target),
        samples=samples,
    )
    if target.type == "cuda":
        torch.cuda.empty_cache()  # what comes next may have a budget
    write_json(_name(facts), asdict(calibration))
    return calibration


def _facts(device: str, family: FoldingFamily) -> dict[str, Any]:
    """What tells one machine's speed from another's. The threads of torch are told by the environment: torch itself
    would have to be imported."""
    kind = device.partition(":")[0]
    versions = {"torch": installed_version("torch"), "lowmem_fold": package_version()}
    facts = {"device": kind, "family": family.name, **versions}
    if kind == "cuda":
        import torch

        return {**facts, "gpu": torch.cuda.get_device_name(device)}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    variables = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return {**facts, "cpu": cpu_model(), "cores": cores, **variables}


def _name(facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return f"calibration-{facts['device']}-{digest}"


def _from_json(value: Any, family: FoldingFamily) -> Calibration | None:
    """None of what is no calibration of this version."""
    try:
        found = Calibration(**value)
        known = {term for prices in found.prices.values() for term in prices} <= Work().terms().keys()
        complete = set(family.cost.functions()) <= found.prices.keys() and "copy" in found.rates and dict(found.facts)
        return found if known and complete and found.schema_version == _SCHEMA_VERSION else None
    except (TypeError, ValueError, AttributeError):
        return None


def _samples(device: torch.device, cost: Cost) -> Iterator[dict[str, Any]]:
    """Seconds of each function, of all probes, at one length after another."""
    models = cost.probes(device, _computing(device))
    start = time.perf_counter()
    last, turn_seconds = 0, 0.0
    while length := _next_length(last, turn_seconds, BUDGET_SECONDS - (time.perf_counter() - start)):
        repeats = REPEATS[length > LENGTHS[1]]
        began = time.perf_counter()
        yield from _samples_at(cost, models, length, device, repeats)
        last, turn_seconds = length, (time.perf_counter() - began) / repeats


def _next_length(last: int, turn_seconds: float, left: float) -> int | None:
    """The longest, up to three times the last, for which the time is left; the first two in any case."""
    if last < LENGTHS[1]:
        return next(length for length in LENGTHS if length > last)
    turns = REPEATS[1] * turn_seconds
    return max((n for n in LENGTHS if last < n <= 3 * last and turns * (n / last) ** _GROWTH <= left), default=None)


def _computing(device: torch.device) -> list[str]:
    """Dtypes that products of a stem or a sequence track are computed in by default, and float32."""
    import torch

    if device.type != "cuda":
        return ["fp32"]
    return ["fp32", "fp16", *(["bf16"] if torch.cuda.get_device_capability(device) >= (8, 0) else [])]


def _samples_at(
    cost: Cost, models: Mapping[tuple[str, str], nn.Module], length: int, device: torch.device, repeats: int
) -> Iterator[dict[str, Any]]:
    from .timing import seconds_by_turns

    calls: dict[tuple[str, str], Callable[[], Any]] = {}
    for (name, dtype), model in models.items():
        found = cost.calls(model, length)
        if dtype == "fp32":
            calls |= {(function, name): call for function, call in found.items()}
        else:
            calls[f"stem/{dtype}", name] = found["stem"]
    for (function, name), seconds in seconds_by_turns(calls, device, repeats).items():
        config = models[name, "fp32"].config.to_dict()
        yield {
            "function": function,
            "model": name,
            "length": length,
            "seconds": seconds,
            "work": cost.work(config, length, Tiling.for_device(device))[function.partition("/")[0]].terms(),
        }


def _prices(
    samples: Sequence[Mapping[str, Any]], rates: Mapping[str, float], overlapped: bool, cost: Cost
) -> dict[str, dict[str, float]]:
    by_function: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        by_function.setdefault(sample["function"], []).append(sample)
    prices = {}
    for function, group in by_function.items():
        works, seconds = [Work(**each["work"]) for each in group], [min(each["seconds"]) for each in group]
        product = _LEAST_PRICE / rates[function.partition("/")[2] or "fp32"]
        least = {"projections": product, "contractions": product}
        settled: tuple[str, ...] = ()
        if function in cost.long_products:
            least["contractions"] = 1 / rates[cost.long_products[function]]
        elif function.startswith(cost.little_attention):
            least["contractions"] = 1 / rates["attention"]
            settled = ("contractions",)
        prices[function] = fitted(works, seconds, least, settled, overlapped)
    return prices


def _priced(prices: Mapping[str, float], work: Work, overlapped: bool) -> float:
    terms = work.terms()
    starting = prices["calls"] * terms["calls"]
    computing = sum(price * terms[term] for term, price in prices.items() if term != "calls")
    return max(starting, computing) if overlapped else starting + computing


def fitted(
    works: Sequence[Work],
    seconds: Sequence[float],
    least: Mapping[str, float],
    settled: Sequence[str],
    overlapped: bool,
) -> dict[str, float]:
    """Prices of the quantities of a function's work, none of them negative, that make the relative errors small.

    least: of some quantities, what they cost at least. Without it the few samples could be explained with products that
        cost nothing, which is wrong where a long protein is all products.
    settled: quantities that cost just that.
    overlapped: of starting operations and computing, the longer counts, not the sum; see the module.
    """
    terms = list(Work().terms())
    taken = np.array(seconds)
    rows = np.array([list(work.terms().values()) for work in works], dtype=float) / taken[:, None]
    floor = np.array([least.get(term, 0.0) for term in terms])
    starting = 0.0
    if overlapped:
        starting = float((1 / rows[:, 0]).min())
        computes = starting * rows[:, 0] * _COMPUTING < 1
        computes[np.argmax(taken)] = True
        rows = rows[computes]
        rows[:, 0] = 0
    left = np.maximum(1 - rows @ floor, 0)
    above = _non_negative(rows * [term not in settled for term in terms], left)
    prices = dict(zip(terms, (floor + above).tolist(), strict=True))
    return {**prices, "calls": starting} if overlapped else prices


def _non_negative(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The x of no negative number for which rows @ x is nearest to the target. Of few unknowns: the best of all choices
    of those that are not zero."""
    scale = np.maximum(rows.max(axis=0), np.finfo(float).tiny)
    used = [i for i in range(len(scale)) if rows[:, i].any()]
    best, error = np.zeros(len(scale)), float(np.square(target).sum())
    for choice in (list(some) for size in range(1, len(used) + 1) for some in combinations(used, size)):
        columns = rows[:, choice] / scale[choice]
        x, *_ = np.linalg.lstsq(columns, target, rcond=None)
        found = float(np.square(columns @ x - target).sum())
        if (x >= 0).all() and found < error:
            best, error = np.zeros(len(scale)), found
            best[choice] = x / scale[choice]
    return best


def _rates(device: torch.device) -> dict[str, float]:
    from ..quantization.formats import DTYPES
    from .timing import attention_rate, copy_rate, product_rate, triangle_rate

    products = {dtype: product_rate(device, DTYPES[dtype]) for dtype in _computing(device)}
    long = {"attention": attention_rate(device), "triangle": triangle_rate(device)}
    return {**products, **long, "copy": copy_rate(device)}


def _stored(device: torch.device) -> dict[str, list[float]]:
    from ..quantization.formats import DTYPES, FORMATS
    from .timing import MATRIX, ROWS, seconds_by_turns, stored_product_calls

    formats = [name for name in FORMATS if not (name == "float8" and device.type == "mps")]
    calls = {
        (f"{name}/{dtype}", rows): call
        for dtype in _computing(device)
        for name in formats
        for rows, call in stored_product_calls(name, DTYPES[dtype], device).items()
    }
    turns = seconds_by_turns(calls, device, _STORED_REPEATS)
    seconds = {key: min(taken) for key, taken in turns.items()}
    weights, (few, many) = MATRIX[0] * MATRIX[1], ROWS
    return {name: _of_two(few, many, seconds[name, few] / weights, seconds[name, many] / weights) for name, _ in calls}


def _of_two(few: int, many: int, of_few: float, of_many: float) -> list[float]:
    """a and b, not negative, of a + b n, which is `of_few` at n = few and `of_many` at n = many."""
    b = min(max(0.0, of_many - of_few) / (many - few), of_few / few)
    return [of_few - b * few, b]
