"""A protein or complex to be folded, as it was read."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits

__all__ = ["CHAIN_BREAK", "CHAIN_LETTERS", "LINKER", "Record", "chain_label"]

CHAIN_LETTERS = ascii_uppercase + ascii_lowercase + digits

LINKER = "G" * 25
#: Jump of the residue index between chains: far beyond the window of relative positions, so that the chains are apart.
CHAIN_BREAK = 512


@dataclass(frozen=True)
class Record:
    """One protein or complex of the input.

    Attributes
    ----------
    id : str
        First word of the header; made safe as a file name on every system unless it was to stay as it is.
    header : str
        The header as given, without ``>``.
    chains : tuple of str
        Upper case, the 20 amino acids and X; U, Z, B, O, J and ``*`` too where they were to be kept.
    warnings : tuple of str
        What was changed on reading, a line a chain.
    source : str
        Where it was read: ``"in.fasta, record 3 (line 17)"``.
    """

    id: str
    header: str
    chains: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    source: str = ""

    @property
    def sequence(self) -> str:
        """The chains, separated by ``:``."""
        return ":".join(self.chains)

    @property
    def length(self) -> int:
        """Number of residues, without linkers."""
        return sum(map(len, self.chains))

    @property
    def num_tokens(self) -> int:
        """Number of residues that the model sees, linkers included."""
        return self.length + len(LINKER) * (len(self.chains) - 1)


def chain_label(index: int) -> str:
    """Name of a chain, counted from 0: A to Z, a to z, 0 to 9, as one column of a PDB file allows; then AA, AB, ..."""
    if index < len(CHAIN_LETTERS):
        return CHAIN_LETTERS[index]
    label, number = "", index - len(CHAIN_LETTERS) + 27
    while number:
        number, letter = divmod(number - 1, 26)
        label = ascii_uppercase[letter] + label
    return label
