"""What the model is given for a record: its chains joined by linkers, as numbers.

A linker of 25 glycines stands between two chains and the residue index jumps by 512, as in `encode_sequence` of the
original ESMFold (facebookresearch/esm, esm/esmfold/v1/misc.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..sequences.records import CHAIN_BREAK, LINKER, Record
from ..sequences.residues import RESIDUE_LETTERS, RESIDUE_ORDER
from .engine import FoldInput

__all__ = ["Tokens", "fold_input", "tokenize"]


@dataclass(frozen=True, eq=False)
class Tokens:
    """What the model is given for one record of T tokens.

    Attributes
    ----------
    aatype : ndarray, shape=(T,), dtype=int64
        Residue types, 0 to 20.
    residue_index : ndarray, shape=(T,), dtype=int64
        Counts through, with a jump of ``CHAIN_BREAK`` at the start of each further chain.
    chain_index : ndarray, shape=(T,), dtype=int64
        Chain of each token from 0; -1 on linkers.
    """

    aatype: np.ndarray
    residue_index: np.ndarray
    chain_index: np.ndarray


def fold_input(record: Record, device: torch.device) -> FoldInput:
    """The tokens of a record on a device."""
    tokens = tokenize(record.chains)
    aatype, residue_index = (torch.from_numpy(t).to(device) for t in (tokens.aatype, tokens.residue_index))
    return FoldInput(aatype, residue_index, tokens.chain_index)


def tokenize(chains: Sequence[str]) -> Tokens:
    """Join chains by linkers and number them as the original ESMFold does: a linker counts with the chain before it.

    Raises
    ------
    InputError
        If there is no chain, a chain is empty, or a letter is not one of ``RESIDUE_LETTERS``.
    """
    if isinstance(chains, str) or not chains or not all(chains):
        raise InputError(f"tokens are made from a list of chains, none of them empty; this is {chains!r}.")
    text = LINKER.join(chains)
    unknown = set(text) - set(RESIDUE_LETTERS)
    if unknown:
        raise InputError(f"{''.join(sorted(unknown))!r} in a chain: only the letters {RESIDUE_LETTERS} have tokens.")
    owner = np.repeat(np.arange(len(chains)), [len(chain) + len(LINKER) for chain in chains])[: len(text)]
    place = np.concatenate([np.arange(len(chain) + len(LINKER)) for chain in chains])[: len(text)]
    linker = place >= np.array([len(chain) for chain in chains])[owner]
    return Tokens(
        aatype=np.array([RESIDUE_ORDER[letter] for letter in text], dtype=np.int64),
        residue_index=np.arange(len(text), dtype=np.int64) + CHAIN_BREAK * owner,
        chain_index=np.where(linker, -1, owner).astype(np.int64),
    )
