"""Measure memory, seconds and accuracy of lowmem_fold and of stock transformers, each configuration in its own process.

Choose a preset, or give the models, lengths and so on to measure: each is measured with each. Every result is kept in
the file of -o, and the same command resumes there; running out of memory, a refusal and a time-out are results too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..bench.configuration import OURS, Configuration
from ..bench.presets import PRESETS, STOCK, grid
from ..bench.table import comparison_table, result_text
from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..precision import plain_words
from ..system.devices import device_word
from ..system.terminal import printable, say, tell
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..bench.records import Measurement
    from ..bench.sweep import Sweep

__all__ = ["add_arguments", "configurations", "run"]

_LIMIT_SECONDS = 600.0
_SWEPT = ("codes", "precisions", "placements", "lengths", "num_recycles")
_DEFAULTS: dict[str, list[Any]] = {
    "codes": [OURS, STOCK],
    "models": [DEFAULT_MODEL],
    "precisions": ["fp32"],
    "placements": ["resident"],
    "lengths": [128],
    "num_recycles": [3],
}
_EXIT_CODES = """\
exit codes:
  0    everything is measured
  1    a configuration failed, and not for lack of memory or time
  2    an option is wrong, or a model is not available
  130  interrupted by Ctrl-C (143 by SIGTERM); the same command resumes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    presets = "; ".join(f"{name}: {preset.about}" for name, preset in PRESETS.items())
    parser.epilog = _EXIT_CODES
    parser.usage = "lowmem-fold bench (--preset quick|full | --lengths N ... | ...) [-o FILE.jsonl] [options]"
    parser.add_argument("--preset", choices=list(PRESETS), help=presets)
    parser.add_argument(
        "--models",
        metavar="M",
        nargs="+",
        help=f"on the Hugging Face hub, local folders, or demo; one for a preset [{DEFAULT_MODEL}]",
    )
    parser.add_argument(
        "--codes", metavar="C", nargs="+", help=f"implementations: {OURS}, or one to compare with ['{OURS}' '{STOCK}']"
    )
    parser.add_argument("--precisions", metavar="P", nargs="+", type=plain_words, help="as for lowmem-fold fold [fp32]")
    parser.add_argument(
        "--placements", metavar="W", nargs="+", help="of the weights: resident, staged, streamed [resident]"
    )
    parser.add_argument("--lengths", metavar="N", nargs="+", type=int, help="residues [128]")
    parser.add_argument("--num-recycles", metavar="N", nargs="+", type=int, help="passes after the first one [3]")
    parser.add_argument("--chunk-size", metavar="N", type=int, help="rows of the pair state worked on at once")
    parser.add_argument("--repeats", metavar="N", type=int, help="how often to fold, at most, for the times [5]")
    parser.add_argument(
        "--device", metavar="D", type=device_word, help="auto, cpu, gpu, cuda:N or mps [auto, or that of the preset]"
    )
    parser.add_argument("--memory", metavar="SIZE", help="memory that a CUDA device is held to, e.g. 8GB [all]")
    parser.add_argument(
        "--time-limit", metavar="S", type=float, help="seconds for one configuration [600, or that of the preset]"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.jsonl", help="file for the results [bench.jsonl, or bench-PRESET.jsonl]"
    )
    parser.add_argument("--report", metavar="FILE.html", help="write a page with tables and pictures of the results")


def run(arguments: argparse.Namespace) -> int:
    """Measure what the options say; returns the exit code."""
    if arguments.time_limit is not None and not arguments.time_limit > 0:
        raise InputError(f"--time-limit must be above 0; it is {arguments.time_limit:g}")
    path = Path(arguments.output or (f"bench-{arguments.preset}.jsonl" if arguments.preset else "bench.jsonl"))
    if arguments.report:
        _check_report(Path(arguments.report))
    found = configurations(arguments)
    from ..bench.sweep import Sweep
    from ..run.stopping import Stopped, StopSignals

    sweep = Sweep(found, path, arguments.time_limit or _LIMIT_SECONDS)
    if arguments.preset and arguments.time_limit is None and sweep.left():
        sweep.limit_seconds = _limit_here(PRESETS[arguments.preset].limit_seconds)
    progress = _Progress(sweep)
    try:
        with StopSignals() as stops:
            sweep.run(stops)
    except Stopped as stop:
        tell(f"stopped by {stop}; run the same command again to resume")
        return stop.exit_code
    finally:
        progress.close()
    records = sweep.records()
    say(f"\n{comparison_table(records)}\n\n{_summary(records, path)}")
    if missing := _missing(records, sweep.limit_seconds):
        say(missing)
    if arguments.report:
        from ..bench.report import write

        write(path, Path(arguments.report))
        say(f"The report is {arguments.report}")
    return SOME_FAILED if any(record.status == "failed" for record in records) else OK


def _limit_here(limit_seconds: float) -> float:
    """A preset's limit for one configuration, on this machine with what else it is doing."""
    from ..bench.probe import slowness

    times = slowness()
    if times > 1.2:
        say(f"This machine is {times:.1f} times as slow as the one that the limits were set on", end="; ")
        say(f"a configuration gets {times * limit_seconds:.0f} s instead of {limit_seconds:.0f} s")
    return times * limit_seconds


def _missing(records: Sequence[Measurement], limit_seconds: float) -> str:
    """What has no number for want of time, and what to do; empty if nothing is missing."""
    late = [record for record in records if record.status == "timeout"]
    if not late:
        return ""
    names = "\n".join(f"  {result_text(record)}" for record in late)
    return (
        f"No time was measured of {len(late)} of {len(records)}:\n{names}\n"
        f"Run the same command with --time-limit {4 * limit_seconds:.0f}, or when the machine has less to do:"
        " what is measured is kept."
    )


def _check_report(path: Path) -> None:
    """Before anything is measured: InputError if the page could not be made."""
    from ..system.style import require_matplotlib

    require_matplotlib()
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise InputError(f"--report {path}: no file can be written there")


def configurations(arguments: argparse.Namespace) -> list[Configuration]:
    """What the options ask for."""
    swept = {name: getattr(arguments, name) for name in (*_SWEPT, "models")}
    if arguments.preset:
        return _of_preset(
            arguments, [name for name in (*_SWEPT, "chunk_size", "repeats") if getattr(arguments, name) is not None]
        )
    if not any(swept.values()):
        raise InputError(
            f"say what to measure: --preset {', '.join(PRESETS)}, or a sweep, such as --models demo --lengths 64 128"
        )
    asked = {name: values or _DEFAULTS[name] for name, values in swept.items()}
    _check_codes(asked["codes"])
    device = _here(arguments.device or "auto")
    found: list[Configuration] = []
    for model in asked["models"]:
        for num_recycles in asked["num_recycles"]:
            first = Configuration(
                model=model,
                device=device,
                num_recycles=num_recycles,
                chunk_size=arguments.chunk_size,
                repeats=5 if arguments.repeats is None else arguments.repeats,
                memory=arguments.memory,
            )
            found += grid(first, *(asked[name] for name in _SWEPT[:4]))
    return found


def _of_preset(arguments: argparse.Namespace, others: list[str]) -> list[Configuration]:
    preset = PRESETS[arguments.preset]
    if others:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise InputError(f"--preset {arguments.preset} decides of {names}; leave the preset out to spell a sweep out")
    models = arguments.models or [preset.model]
    if len(models) > 1:
        raise InputError(f"--preset {arguments.preset} measures one model; {len(models)} are named")
    from ..system.devices import device_here

    device = arguments.device or preset.device
    return preset.configurations(models[0], device_here(device) or device, arguments.memory)


def _check_codes(codes: Sequence[str]) -> None:
    from ..bench.peers import PEERS

    for code in codes:
        if code != OURS and code not in PEERS:
            raise InputError(
                f"--codes {code!r} is unknown; choose from: {', '.join(repr(name) for name in (OURS, *PEERS))}"
            )


def _here(device: str) -> str:
    """The device of this name, `auto` decided."""
    from ..system.devices import device_here

    Configuration(device=device)  # checks the name
    found = device_here(device)
    if found is None:
        raise InputError(f"--device {device} is not here: torch sees no CUDA device")
    return found


def _summary(records: Sequence[Measurement], path: Path) -> str:
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    listed = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{len(records)} configuration{'' if len(records) == 1 else 's'}: {listed}. Records are in {path}"


class _Progress:
    """A line for each record on standard output; a bar with the time left on standard error, if that is a terminal."""

    def __init__(self, sweep: Sweep, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: Any = None
        left = sweep.left()
        if len(left) < len(sweep.configurations):
            say(f"{len(sweep.configurations) - len(left)} of {len(sweep.configurations)} were measured before")
        if left and self._stream.isatty():
            from tqdm import tqdm

            layout = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]"
            self._bar = tqdm(total=len(left), file=self._stream, bar_format=layout, smoothing=0, leave=False)
        sweep.begins, sweep.waits, sweep.ended = self._begins, self._waits, self._ended

    def _begins(self, configuration: Configuration) -> None:
        if self._bar is not None:
            self._bar.set_description_str(printable(configuration.label))

    def _waits(self, seconds: float) -> None:
        if self._bar is not None:
            self._bar.refresh()

    def _ended(self, record: Measurement) -> None:
        if self._bar is not None:
            self._bar.clear()
        say(result_text(record))
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
