"""What a language model makes of masked residues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from ..errors import InputError, ModelError
from .batches import run_batches
from .families import MASK, masked_families

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from .backbone import Backbone
    from .families import Family

__all__ = ["check_masked_lm", "masked_log_probabilities"]


def check_masked_lm(backbone: Backbone) -> None:
    """InputError if the model cannot tell what a masked residue is: says which can."""
    name = backbone.family.name
    if backbone.family.mask_id is None:
        raise InputError(
            f"{name} is an encoder that gives no probabilities of residues: use it to embed, and to fill, score and "
            f"generate one of {', '.join(masked_families())}"
        )
    if not backbone.masked_lm:
        raise InputError(
            f"{backbone.checkpoint.name} holds no head for masked residues, only the encoder of {name}: use it to "
            "embed, or a checkpoint that was saved with its language model head"
        )


def masked_log_probabilities(
    backbone: Backbone,
    sequences: Sequence[str],
    receive: Callable[[int, np.ndarray], None],
    failed: Callable[[int, Exception], None] | None = None,
    skipped: Callable[[int], bool] = lambda index: False,
) -> None:
    """Log-probabilities of the 20 amino acids at each masked position, normalised over the model's whole vocabulary.

    Parameters
    ----------
    backbone : Backbone
        With a head for masked residues.
    sequences : sequence of str
        Of residues and ``*``, as `masked_chain` gives them.
    receive : callable
        Called with the index of a sequence and an array (masked positions, 20), float64, natural logarithms, in the
        order of `AMINO_ACIDS`: once for each, as they are done, similar lengths together.
    failed : callable, optional
        Called for a sequence that cannot be run, with its index and the error, which is raised by default.
    skipped : callable, optional
        Whether a sequence, by its index, is no longer wanted when its turn comes.

    Raises
    ------
    BudgetError
        A sequence has no room.
    ModelError
        Numbers are not finite.
    """
    family = backbone.family
    columns = torch.tensor(family.residue_ids)

    def run(batch: list[int]) -> None:
        batch = [index for index in batch if not skipped(index)]
        if not batch:
            return
        tokens = [family.encode(sequences[index]) for index in batch]
        logits = backbone.logits(tokens)
        rows = [_masked_rows(logits[row], sequences[index], family, tokens[row]) for row, index in enumerate(batch)]
        if not all(each.isfinite().all() for each in rows):
            raise ModelError(_not_finite(backbone))
        found = [each.double().log_softmax(-1)[:, columns].numpy() for each in rows]
        for index, array in zip(batch, found, strict=True):
            receive(index, array)

    special = len(family.prefix) + len(family.suffix)
    run_batches(backbone, [len(each) + special for each in sequences], run, logits=True, failed=failed)


def _masked_rows(logits: Tensor, sequence: str, family: Family, tokens: list[int]) -> Tensor:
    """Logits (masked positions, vocabulary) on the host, of those of one sequence (T, vocabulary)."""
    places = [place for place, letter in enumerate(sequence) if letter == MASK]
    return logits[family.residues(tokens)][torch.tensor(places, device=logits.device)].cpu()


def _not_finite(backbone: Backbone) -> str:
    return (
        f"{backbone.checkpoint.name} gives numbers that are not finite in {backbone.precision}: take fp32, or bf16, "
        "whose range is as wide"
    )
