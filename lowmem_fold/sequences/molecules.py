"""Refuse what is not a protein by its letters or its header: it would be folded as one without a word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InputError

__all__ = ["refuse_nucleotides", "refuse_other_molecules"]

#: Shorter chains are not judged: peptides of a few residues may well be made of A, C, G and T alone.
MIN_NUCLEOTIDES = 15
_NUCLEOTIDES = frozenset("ACGTUN")
#: Of a protein's letters these stand for alanine, cysteine, glycine, threonine, selenocysteine; chains of one or two of
#: them, such as poly-alanine and the glycines of a linker, are proteins. N, any nucleotide, tells nothing.
_BASES = frozenset("ACGTU")
_MIN_BASES = 3

_CHAI = frozenset({"dna", "rna", "ligand", "glycan"})
_BOLTZ = _CHAI | {"ccd", "smiles"}
#: First fields of headers of UniProt and NCBI (the FASTA identifiers of NCBI's C++ Toolkit), after which an accession
#: comes and never a type.
_DATABASES = frozenset(
    {"bbm", "bbs", "dbj", "emb", "gb", "gi", "gim", "gnl", "gpp", "gsdb", "lcl", "nat", "oth", "pat", "pdb", "pgp"}
    | {"pir", "prf", "ref", "sp", "tpd", "tpe", "tpg", "tr"}
)
# Names that the PDB gives chains of nucleic acids: `>1bna_A mol:na length:12`, `>1BNA_1|Chains A, B|DNA (5'-D(...`.
_PDB = re.compile(r"^\S+ mol:na\b|\|\s*(?:(?:DNA|RNA|DNA/RNA)\s*\((?:5'-|\d+-MER\))|5'-[DR]\()")


def refuse_nucleotides(chains: Sequence[str], name: str) -> None:
    """Refuse chains that look like DNA or RNA.

    A chain does if it has 15 letters or more, all of them A, C, G, T, U or N, and at least three of the first five
    occur. Masked residues (``*``) do not count.

    Parameters
    ----------
    chains : sequence of str
        Upper case.
    name : str
        What the error calls the record.

    Raises
    ------
    InputError
        Names the record and the chain, and says how to take it as a protein.
    """
    from .records import chain_label

    for index, chain in enumerate(chains):
        if _looks_like_nucleotides(chain):
            label = f"chain {chain_label(index)} " if len(chains) > 1 else ""
            raise InputError(
                f"{name}: {label}looks like DNA or RNA, not like a protein: all of its letters are of "
                f"{' '.join(sorted(set(chain) - {'*'}))}. Translate it first. If it is a protein, "
                "--allow-nucleotide-letters (in Python allow_nucleotide_letters=True) takes it as one."
            )


def _looks_like_nucleotides(chain: str) -> bool:
    letters = set(chain) - {"*"}
    if not letters <= _NUCLEOTIDES or len(letters & _BASES) < _MIN_BASES:
        return False
    return len(chain) - chain.count("*") >= MIN_NUCLEOTIDES


def refuse_other_molecules(header: str, name: str) -> None:
    """Refuse a record that its header, as Boltz, Chai or the PDB write them, calls something else than a protein.

    Boltz has ``CHAIN|TYPE`` and perhaps the path of an alignment, Chai ``TYPE|name=...``.

    Parameters
    ----------
    header : str
        Without ``>``.
    name : str
        What the error calls the record.

    Raises
    ------
    InputError
        Names the record and what it is.
    """
    kind = _other_molecule(header)
    if kind:
        raise InputError(
            f"{name}: by its header this is {kind}, and only proteins are taken. Remove the record, or, if it is a "
            "protein, say so in the header."
        )


def _other_molecule(header: str) -> str | None:
    if _PDB.search(header):
        return "a nucleic acid"
    first, *more = (field.strip().lower() for field in header.split("|"))
    if not more or first in _DATABASES or "protein" in (first, more[0]):
        return None
    if first in _CHAI:  # the type comes first
        return f"of type {first!r}"
    # Boltz: the type comes after a chain's name, and before nothing or an empty alignment.
    is_boltz = more[0] in _BOLTZ and " " not in first and more[1:] in ([], [""], ["empty"])
    return f"of type {more[0]!r}" if is_boltz else None
