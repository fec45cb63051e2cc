"""One chain as a language model reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import InputError
from ..sequences.molecules import refuse_nucleotides
from ..sequences.records import Record
from ..sequences.sequence_lists import check_sequence
from .families import AMINO_ACIDS, MASK

if TYPE_CHECKING:
    from .families import Family

__all__ = ["check_chain", "check_length", "masked_chain", "plain_chain", "refuse_chains"]

_NO_RESIDUE = re.compile(rf"[^A-Z{re.escape(MASK)}]")


def refuse_chains(number: int, name: str) -> None:
    """InputError if there are several chains. name: what the error calls what they are of."""
    if number > 1:
        raise InputError(
            f"{name}: {number} chains, and a language model reads one at a time: give each as a record of its own"
        )


def masked_chain(text: str | Record, name: str, allow_nucleotide_letters: bool = False) -> str:
    """A chain of residues and ``*``, upper case.

    Parameters
    ----------
    text : str or Record
        ``*`` or ``<mask>`` where a residue is masked; white space is ignored.
    name : str
        What errors call it.
    allow_nucleotide_letters : bool
        Whether a chain that looks like DNA or RNA is taken, see `lowmem_fold.sequences.molecules`. That of a record
        always is.

    Raises
    ------
    InputError
        It is not a string, empty, of several chains, holds what is no letter, or looks like DNA or RNA: names it and
        the position, from 1.
    """
    given = check_sequence(text, name)
    letters = re.sub(r"\s", "", given.sequence if isinstance(given, Record) else given).replace("<mask>", MASK).upper()
    if not letters:
        raise InputError(f"{name}: there is no sequence")
    refuse_chains(letters.count(":") + 1, name)
    found = _NO_RESIDUE.search(letters)
    if found:
        raise InputError(
            f"{name}: position {found.start() + 1}: {found[0]!r} is not an amino acid; a masked one is {MASK} or <mask>"
        )
    if not (allow_nucleotide_letters or isinstance(given, Record)):
        refuse_nucleotides([letters], name)
    return letters


def plain_chain(text: str | Record, name: str, allow_nucleotide_letters: bool = False) -> str:
    """As `masked_chain`; InputError also if a residue is masked, or none is an amino acid."""
    sequence = masked_chain(text, name, allow_nucleotide_letters)
    if MASK in sequence:
        raise InputError(f"{name}: position {sequence.index(MASK) + 1} is masked, and has no score; fill it first")
    if not set(sequence) & set(AMINO_ACIDS):
        raise InputError(f"{name}: no residue is one of the 20 amino acids, which alone are scored")
    return sequence


def check_chain(sequence: str, name: str, family: Family) -> None:
    """InputError if the family does not know a letter."""
    try:
        family.encode(sequence)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def check_length(sequence: str, name: str, family: Family, cure: str) -> None:
    """InputError if a chain is longer than the model has positions for. cure: what to do then."""
    if family.max_residues is not None and len(sequence) > family.max_residues:
        raise InputError(
            f"{name}: {len(sequence)} residues, and {family.name} has positions for {family.max_residues}; {cure}"
        )
