"""How close a predicted structure is to a known one. Residue i of one is residue i of the other throughout.

Positions are in Angstrom, of any float type; the arithmetic is float64, and scores run from 0 to 1. The functions raise
InputError when two arrays do not fit each other, are empty, or hold a number that is not finite.
"""

from .chi import chi_angles, chi_errors
from .contacts import ContactAgreement, contact_agreement, representative_atoms
from .distogram import distogram_kl
from .local import lddt, lddt_per_residue
from .search import gdt_ts, tm_score, tm_score_d0
from .superposition import Superposition, all_atom_rmsd, rmsd, superpose

__all__ = [
    "ContactAgreement",
    "Superposition",
    "all_atom_rmsd",
    "chi_angles",
    "chi_errors",
    "contact_agreement",
    "distogram_kl",
    "gdt_ts",
    "lddt",
    "lddt_per_residue",
    "representative_atoms",
    "rmsd",
    "superpose",
    "tm_score",
    "tm_score_d0",
]
