"""Check on this machine that results equal those of stock transformers, and what lower precisions cost.

Four real chains (79 to 257 residues, which come with the package) are folded by stock transformers and by lowmem_fold
in fp32, which have to agree; then in lower precisions, which are compared with fp32; and all are compared with the
experiment. Nothing is downloaded but the model. The record names neither user nor folders of this machine.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..run.options import RunOptions
from ..system.terminal import say, tell
from .backbone import add_device
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..bench.records import Measurement
    from ..bench.verify import Verified

__all__ = ["add_arguments", "run", "text"]

_EXIT_CODES = """\
exit codes:
  0  lowmem_fold gives what stock transformers gives
  1  it does not, or the two could not be compared here
  2  an option is wrong, or the model is not available
"""
_PRECISIONS = "fp16,int8,int4"
_RECORD = "lowmem-fold-verify.jsonl"

#: The smallest TM-score to fp32 among the chains, and what it means to whoever looks at the structure.
_MEANINGS = (
    (0.99, "the same structures"),
    (0.9, "the same folds; loops and uncertain parts move"),
    (0.0, "at least one chain folds another way: do not use it without looking"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.epilog = _EXIT_CODES
    parser.add_argument(
        "-m",
        "--model",
        metavar="M",
        default=DEFAULT_MODEL,
        help=f"model on the Hugging Face hub, local folder, or demo [{DEFAULT_MODEL}]",
    )
    add_device(parser)
    parser.add_argument(
        "--precisions",
        metavar="P[,P...]",
        default=_PRECISIONS,
        help=f"lower precisions to compare with fp32, as for lowmem-fold fold; one of PART=FORMAT,... is given alone "
        f"[{_PRECISIONS}]",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default=_RECORD, help=f"file that the record is appended to [{_RECORD}]"
    )


def run(arguments: argparse.Namespace) -> int:
    """Fold, compare, print the verdict and write the record; returns the exit code."""
    precisions = _precisions(arguments.precisions)
    for precision in ("fp32", *precisions):
        RunOptions(model=arguments.model, precision=precision, device=arguments.device)  # checks them
    out = Path(arguments.output)
    _refuse_unwritable(out)
    from ..bench.chains import known_chains
    from ..bench.records import append_measurement
    from ..bench.verify import verify

    verified = verify(arguments.model, arguments.device, precisions, known_chains(), _tell)
    for measurement in verified.measurements:
        append_measurement(out, measurement)
    say(text(verified))
    say(f"\nThe record is in {out}, {len(verified.measurements)} lines: please send it in with what you report.")
    return OK if verified.holds else SOME_FAILED


def _precisions(words: str) -> list[str]:
    """The presets of a list; what has a `=` is one precision, whose parts are separated by commas as well."""
    named = [words] if "=" in words else [word.strip().lower() for word in words.split(",")]
    return [name for name in dict.fromkeys(named) if name and name != "fp32"]


def _refuse_unwritable(out: Path) -> None:
    """Before hours of folding."""
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise InputError(f"-o {out}: no file can be written there")


def _tell(line: str) -> None:
    tell(line)


def text(verified: Verified) -> str:
    """What was found, for a reader who folds proteins."""
    about = verified.reference
    chains = ", ".join(
        f"{id} ({length})" for id, length in zip(about.resolved["chains"], about.resolved["lengths"], strict=True)
    )
    head = [
        f"{about.requested['model']} (fingerprint {about.resolved['fingerprint']}) on {_machine(about)}",
        f"chains (residues): {chains}; {about.requested['num_recycles']} recycles",
    ]
    parts = ["\n".join(head), _fidelity(verified), _drift(verified), _experiment(verified), _verdict(verified)]
    return "\n\n".join(part for part in parts if part)


def _machine(about: Measurement) -> str:
    environment = about.environment
    gpus = environment["gpus"]
    hardware = gpus[0]["name"] if about.resolved["device"] != "cpu" and gpus else environment["cpu"]["model"]
    return f"{about.resolved['device']} ({hardware}), torch {environment['versions']['torch']}"


_ROWS = {
    "ca_rmsd_angstrom": "CA atoms apart, A (RMSD)",
    "largest_plddt_difference": "pLDDT, points (largest)",
    "largest_pae_difference_angstrom": "PAE, A (largest)",
    "plddt_difference": "pLDDT, points (mean)",
    "pae_error_angstrom": "PAE, A (mean)",
    "ptm_difference": "pTM",
}


def _fidelity(verified: Verified) -> str:
    from ..bench.verify import LIMITS, NUM_RECYCLES

    title = "1. Compared with stock transformers, both in fp32: the largest difference of any chain"
    if not verified.is_compared:
        return f"{title}\n   not compared: {_why_not(verified)}"
    lines = [title, f"   {'':<44}{'found':>12}{'limit':>10}"]
    for name, limit in LIMITS.items():
        when, _, what = (
            name.partition("_") if name.startswith("recycled") else ("one pass", "", name[len("one_pass_") :])
        )
        passes = when if when == "one pass" else f"{NUM_RECYCLES + 1} passes"
        value = max(map(abs, verified.reference.samples[name]))
        bad = "  TOO MUCH" if name in verified.excesses else ""
        lines.append(f"   {passes + ': ' + _ROWS[what]:<44}{value:>12.7f}{limit:>10g}{bad}")
    return "\n".join(lines)


def _why_not(verified: Verified) -> str:
    reasons = [f"{m.requested['code']}: {m.reason}" for m in (verified.stock, verified.reference) if m.reason]
    return "; ".join(reasons)


def _drift(verified: Verified) -> str:
    if not verified.precisions:
        return ""
    lines = [
        "2. Each precision compared with fp32, chain by chain: median, and worst chain",
        f"   {'precision':<16}{'CA-RMSD, A':>16}{'TM-score':>16}{'lDDT-CA':>16}{'pLDDT, points':>17}",
    ]
    for measurement in verified.precisions:
        lines.append(_drift_line(measurement))
    return "\n".join(lines)


def _drift_line(measurement: Measurement) -> str:
    name = f"   {measurement.requested['precision']:<16}"
    if measurement.reason:
        return f"{name}not folded: {measurement.reason}"
    quantities = (("ca_rmsd_angstrom", 16), ("tm_score", 16), ("lddt_ca", 16), ("plddt_difference", 17))
    if "fp32_tm_score" not in measurement.samples:
        return f"{name}not compared: there is no fold in fp32"
    return name + "".join(f"{_spread(measurement, f'fp32_{what}'):>{width}}" for what, width in quantities)


def _spread(measurement: Measurement, name: str) -> str:
    from ..bench.accuracy import summary

    found = summary(name, measurement.samples[name])
    return f"{found.median:.3f}, {found.worst:.3f}"


def _experiment(verified: Verified) -> str:
    columns = {"tm_score": "TM-score", "lddt_ca": "lDDT-CA", "gdt_ts": "GDT-TS", "contact_f1": "contacts F1"}
    rows = [m for m in verified.measurements if m.samples]
    if not rows:
        return ""
    head = "".join(f"{title:>12}" for title in columns.values())
    lines = ["3. Compared with the experiment: median of the chains (1 is perfect)", f"   {'':<24}{head}"]
    for m in rows:
        name = "stock fp32" if m is verified.stock else f"ours {m.requested['precision']}"
        lines.append(f"   {name:<24}" + "".join(_cells(m, columns)))
    return "\n".join(lines)


def _cells(measurement: Measurement, columns: Iterable[str]) -> Iterable[str]:
    from statistics import median

    for name in columns:
        values = measurement.samples.get(f"experiment_{name}")
        yield f"{median(values):>12.3f}" if values else f"{'-':>12}"


def _verdict(verified: Verified) -> str:
    lines = [f"VERDICT: {_fidelity_words(verified)}"]
    for m in verified.precisions:
        if scores := m.samples.get("fp32_tm_score"):
            lines.append(
                f"  {m.requested['precision']}: {_meaning(scores)} (smallest TM-score to fp32 {min(scores):.3f})"
            )
    return "\n".join(lines)


def _meaning(scores: Sequence[float]) -> str:
    return next(words for least, words in _MEANINGS if min(scores) >= least)


def _fidelity_words(verified: Verified) -> str:
    if not verified.is_compared:
        return "not shown. Stock and ours could not both be folded here; what could be is above."
    if verified.excesses:
        return "NOT THE SAME. Ours differs from stock by more than rounding: please send the record in."
    return "the same. On this machine ours gives what stock transformers gives, to rounding."
