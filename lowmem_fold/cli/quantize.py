"""Write a model in a smaller form, once; loading it later needs neither the original nor the quantizing package.

The folder holds safetensors, configuration, policy, tokenizer and a card with the achieved bits per weight.
--dequantize writes such a folder back in Hugging Face layout, for stock transformers.
"""

from __future__ import annotations

import argparse

from ..errors import InputError
from ..run.options import DEFAULT_MODEL
from .info import weights_table
from .main import OK

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.usage = "lowmem-fold quantize [-m M] (--precision P | --dequantize) -o FOLDER"
    parser.add_argument(
        "-m", "--model", metavar="M", default=DEFAULT_MODEL, help=f"hub id, local folder, or demo [{DEFAULT_MODEL}]"
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--precision", metavar="P", help="fp16, bf16, int8, int4, float8, bnb-int8, bnb-nf4, or PART=FORMAT,..."
    )
    how.add_argument("--dequantize", action="store_true", help="unpack a folder that this verb has written")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="a folder that is not there yet")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder; returns the exit code."""
    from pathlib import Path

    if Path(arguments.output).exists():  # said before the model is read
        raise InputError(f"{arguments.output} is there already; name another folder, or remove it first")
    from ..checkpoint import find_checkpoint
    from ..folder import load
    from ..saving import save_dequantized, save_quantized

    checkpoint = find_checkpoint(arguments.model)
    if (checkpoint.policy() is None) == arguments.dequantize:
        raise InputError(
            f"{arguments.model} is not quantized: there is nothing to unpack"
            if arguments.dequantize
            else f"{arguments.model} is quantized already ({checkpoint.policy()}); quantize its source"
        )
    folder = load(arguments.model, device="cpu", precision=arguments.precision)
    if arguments.dequantize:
        save_dequantized(folder.model, checkpoint, arguments.output)
        print(f"{arguments.output}: unpacked, for stock transformers too")
    else:
        print(weights_table(save_quantized(folder.model, checkpoint, folder.precision, arguments.output)))
        print(f"{arguments.output} is written: --model {arguments.output}")
    return OK
