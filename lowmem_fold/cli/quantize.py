"""Store a model in a smaller form, once; loading it later needs neither the original nor the quantizing package.

The folder holds the weights (safetensors), their configuration and tokenizer, precision.json (what is stored how) and a
README.md with the bits per weight. --dequantize writes such a folder back in Hugging Face layout, for stock
transformers.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..system.terminal import say
from .info import weights_table
from .main import OK, PROGRAM

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.usage = "lowmem-fold quantize [-m M] (--precision P | --dequantize) -o FOLDER"
    parser.add_argument(
        "-m",
        "--model",
        metavar="M",
        default=DEFAULT_MODEL,
        help=f"folding or language model: on the Hugging Face hub, a local folder, or demo [{DEFAULT_MODEL}]",
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--precision",
        metavar="P",
        help="how to store weights: fp16, bf16, int8, int4, float8, bnb-int8, bnb-nf4; or each component by itself, "
        "COMPONENT=FORMAT,..., as for lowmem-fold fold",
    )
    how.add_argument("--dequantize", action="store_true", help="unpack a folder that this command has written")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="the folder to write; it must not exist yet"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the folder; returns the exit code."""
    out = Path(arguments.output)
    _check_output(out, arguments.output)  # said before the model is read
    from ..run.stopping import Stopped, StopSignals

    try:
        with StopSignals():
            _write(arguments, out)
    except Stopped as stop:
        state = f"{out} is whole" if out.exists() else f"nothing is left of {out}"
        print(f"{PROGRAM}: stopped by {stop}; {state}", file=sys.stderr)
        return stop.exit_code
    return OK


def _write(arguments: argparse.Namespace, out: Path) -> None:
    from ..backbones.loading import load_backbone
    from ..checkpoints.checkpoint import find_checkpoint
    from ..checkpoints.saving import save_dequantized, save_quantized
    from ..families.registry import family_of
    from ..loading import load

    checkpoint = find_checkpoint(arguments.model)
    if (checkpoint.policy() is None) == arguments.dequantize:
        raise InputError(
            f"{arguments.model} is not quantized: there is nothing to unpack"
            if arguments.dequantize
            else f"{arguments.model} is quantized already ({checkpoint.policy()}); quantize its source"
        )
    of_kind = load_backbone if family_of(checkpoint) is None else load
    loaded = of_kind(arguments.model, precision=arguments.precision, device="cpu", placement="resident")
    try:
        if arguments.dequantize:
            save_dequantized(loaded.model, checkpoint, out)
            say(f"{out}: unpacked, for stock transformers too")
        else:
            say(weights_table(save_quantized(loaded.model, checkpoint, loaded.precision, out)))
            say(f"{out}: written. To use it: --model {out}")
    except OSError as error:
        raise InputError(f"{out} could not be written, nothing is left of it: {error}") from error


def _check_output(out: Path, given: str) -> None:
    if not given.strip():
        raise InputError("-o is empty: name the folder to write.")
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists already; name another folder, or remove it first")
    parent = next(folder for folder in (out.absolute().parent, *out.absolute().parents) if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{out} cannot be made: {parent} is {'not writable' if parent.is_dir() else 'not a folder'}")
