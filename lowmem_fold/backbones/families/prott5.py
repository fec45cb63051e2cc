"""ProtT5 (Elnaggar et al. 2021): the encoder of a T5, with or without the decoder in the files (`prot_t5_xl_uniref50`,
`prot_t5_xl_half_uniref50-enc`).

Stock's tokenizer wants residues separated by spaces, and U Z O B to be X already; J is read as X too. A residue is a
token, `</s>` ends the sequence, and nothing begins it. The encoder was trained to mend corrupted text, not to name
masked residues: there is no mask. Positions are relative: any length can be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...checkpoints.architecture import Architecture, language_model_part
from ...errors import ModelError
from .family import Family
from .vocabulary import read_vocabulary, residue_tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ARCHITECTURE", "NAME", "of", "t5_family"]

NAME = "ProtT5"
_VOCABULARY_SIZE = 128


def _prepare(model: nn.Module) -> None:
    """Feed-forward layers that do not look at `wo.weight` for its dtype: a stored layer would unpack it for that."""
    for module in model.modules():
        if type(module).__name__ == "T5DenseActDense":
            module.forward = partial(_feed_forward, module)
        elif type(module).__name__ == "T5DenseGatedActDense":
            module.forward = partial(_gated_feed_forward, module)


def _feed_forward(module: nn.Module, x: Tensor) -> Tensor:
    return module.wo(module.act(module.wi(x)))


def _gated_feed_forward(module: nn.Module, x: Tensor) -> Tensor:
    return module.wo(module.act(module.wi_0(x)) * module.wi_1(x))


# The residual stream of a T5 leaves the range of float16, and so does what `wo` takes: stock transformers keeps `wo` in
# float32, which makes the stream float32 as well.
ARCHITECTURE = Architecture(
    kind="a T5 encoder",
    container="T5EncoderModel",
    base="encoder",
    stem="encoder.block",
    part_of=language_model_part,
    parts=("stem",),
    dropped=("shared",),
    foreign=True,
    same=(("encoder.embed_tokens.weight", "shared.weight"),),
    full_range=("*.wo",),
    float32_states=True,
    prepare=_prepare,
)


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("model_type") != "t5" or config.get("vocab_size") != _VOCABULARY_SIZE:
        return None
    return t5_family(NAME, folder, unused="UZOB")


def t5_family(name: str, folder: Path, unused: str = "") -> Family:
    """Of a T5 over residues; letters that are `unused` become X. ModelError if its vocabulary is not beside it."""
    tokens = read_vocabulary(folder)
    if tokens is None:
        raise ModelError(f"{folder} holds neither spiece.model nor tokenizer.json, and {name} cannot be read without")
    return Family(
        name,
        ARCHITECTURE,
        residue_tokens(tokens, "X", unused),
        prefix=(),
        suffix=(tokens["</s>"],),
        pad_id=tokens["<pad>"],
        mask_id=None,
    )
