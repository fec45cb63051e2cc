"""What one family of language models does its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...checkpoints.architecture import Architecture
from ...errors import InputError

__all__ = ["AMINO_ACIDS", "MASK", "Family"]

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
#: What stands for a masked residue in a sequence; `<mask>` is read as the same.
MASK = "*"


@dataclass(frozen=True)
class Family:
    """One family: its tokens, its limits, and where its modules lie. An instance is a checkpoint's own: its ids are
    those of its vocabulary.

    Attributes
    ----------
    name : str
        As people call it: `ESM-2`.
    architecture : Architecture
        Where its modules lie.
    vocabulary : mapping of str to int
        The token of each residue letter: the 20 amino acids and X U Z O B J. What the model was not trained with has
        the token of X, or of an unknown word.
    prefix, suffix : tuple of int
        Special tokens before and after the residues.
    pad_id : int
        Fills short sequences of a batch up.
    mask_id : int, optional
        Stands for a masked residue; None of an encoder without a masked-language-model head.
    max_residues : int, optional
        The most that it has positions for; None: any length.
    within_folding_model : bool
        Whether it is the language model of a model that folds.
    """

    name: str
    architecture: Architecture
    vocabulary: Mapping[str, int]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad_id: int
    mask_id: int | None
    max_residues: int | None = None
    within_folding_model: bool = False

    def encode(self, sequence: str) -> list[int]:
        """Token ids of one chain, special tokens included: one for each residue between `prefix` and `suffix`.

        `*` or `<mask>` is a masked residue; lower case counts as upper. How long it is is not looked at: callers hold
        to `max_residues`.

        Raises
        ------
        InputError
            A letter is no residue, or masks are not known to this family: names letter and position, from 1.
        """
        letters = sequence.replace("<mask>", MASK).upper()
        ids = [self._id(letter, position) for position, letter in enumerate(letters, start=1)]
        return [*self.prefix, *ids, *self.suffix]

    def _id(self, letter: str, position: int) -> int:
        if letter == MASK:
            if self.mask_id is None:
                raise InputError(f"{self.name} has no mask token, and position {position} is masked ({MASK})")
            return self.mask_id
        found = self.vocabulary.get(letter)
        if found is None:
            raise InputError(f"{letter!r} at position {position} is not a residue that {self.name} knows")
        return found

    def residues(self, tokens: list[int]) -> slice:
        """Of the positions of `encode`'s tokens, those that are residues: special tokens are left out."""
        return slice(len(self.prefix), len(tokens) - len(self.suffix))

    @property
    def residue_ids(self) -> list[int]:
        """Tokens of the 20 amino acids, in the order of `AMINO_ACIDS`: columns of `Backbone.logits`."""
        return [self.vocabulary[letter] for letter in AMINO_ACIDS]
