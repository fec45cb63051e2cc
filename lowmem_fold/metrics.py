"""How close a predicted structure is to a known one. Residue i of one is residue i of the other throughout.

Positions are in Angstrom, of any float type; the arithmetic is float64, and scores run from 0 to 1. The functions raise
InputError when two arrays do not fit each other, are empty, or hold a number that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .errors import InputError
from .residues import ATOM_ORDER, CHI_ATOMS, CHI_IS_SYMMETRIC

if TYPE_CHECKING:
    from biotite.structure import AtomArray

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

_GDT_CUTOFFS = np.array([1.0, 2.0, 4.0, 8.0])  # Angstrom
Score = Callable[[np.ndarray], np.ndarray]  # squared distances (S, L) to scores (S, K)

_SHORTEST_SEED = 4  # residues, as in the TM-score program
_MAX_EXTENSIONS = 20  # likewise
_BATCH_ELEMENTS = 4_000_000  # of (superpositions, residues): what a search holds at a time


class Superposition(NamedTuple):
    """The rigid motion that lays one set of points on another.

    ``rotation`` has shape (3, 3) and ``translation`` (3,), Angstrom; ``rmsd`` is what remains, Angstrom.
    """

    rotation: np.ndarray
    translation: np.ndarray
    rmsd: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move points, shape (..., 3): all atoms, say, after a fit on CA."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation


class ContactAgreement(NamedTuple):
    """Precision, recall and their harmonic mean; NaN where nothing was predicted, was there, or both."""

    precision: float
    recall: float
    f1: float


def superpose(predicted: np.ndarray, reference: np.ndarray) -> Superposition:
    """Superpose with the least RMSD (Kabsch, Acta Cryst. A32, 922, 1976), never by a mirror image.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(N, 3)
        The points to move, and those that stay.
    """
    predicted, reference = _pair(predicted, reference)
    center, target = predicted.mean(axis=0), reference.mean(axis=0)
    rotation = _rotations(((predicted - center).T @ (reference - target))[None])[0]
    translation = target - rotation @ center
    distances = predicted @ rotation.T + translation - reference
    return Superposition(rotation, translation, float(np.sqrt((distances**2).sum(axis=1).mean())))


def rmsd(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Root-mean-square distance in Angstrom after superposition; CA atoms, shape (L, 3), give the usual CA RMSD."""
    return superpose(predicted, reference).rmsd


def all_atom_rmsd(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> float:
    """Root-mean-square distance in Angstrom over the atoms that both structures have, after superposing their CA.

    Atoms are compared by name: the equal ends of ARG, ASP, GLU, PHE and TYR are not swapped for a better fit.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 37, 3)
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        The atoms to compare: ``prediction.atom_mask & structure.atom_mask``.
    """
    subject, known = _masked_pair(predicted, reference, atom_mask)
    ca = ATOM_ORDER["CA"]
    both = atom_mask[:, ca]
    fit = superpose(predicted[both, ca], reference[both, ca])
    return float(np.sqrt(((fit.apply(subject) - known) ** 2).sum(axis=1).mean()))


def tm_score_d0(length: int) -> float:
    """The distance in Angstrom that counts one half in the TM-score of a protein of so many residues.

    1.24 (L - 15)^(1/3) - 1.8, and at least 0.5 (Zhang and Skolnick, Proteins 57, 702, 2004; their program's floor).
    """
    return max(0.5, 1.24 * (length - 15) ** (1 / 3) - 1.8) if length > 15 else 0.5


def tm_score(predicted: np.ndarray, reference: np.ndarray) -> float:
    """TM-score at the best superposition found, normalised by the number of residues.

    The search is that of the TM-score program: every fragment of L, L/2, L/4, ... 4 residues is superposed, and the
    superposition is repeated on the residues that come near each other until these stay the same.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3)
        CA atoms.
    """
    predicted, reference = _pair(predicted, reference)
    d0 = tm_score_d0(len(reference))
    cutoff = min(max(d0, 4.5), 8.0)

    def score(squares: np.ndarray) -> np.ndarray:
        return (1 / (1 + squares / d0**2)).mean(axis=1, keepdims=True)

    return float(_search(predicted, reference, cutoff - 1, cutoff + 1, score)[0])


def gdt_ts(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Mean part of the residues within 1, 2, 4 and 8 Angstrom, each at the best superposition found for it.

    Zemla, Nucleic Acids Res. 31, 3370, 2003; there in percent. The search is that of ``tm_score``, with each of the
    four distances as the one that residues must come within.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3)
        CA atoms.
    """
    predicted, reference = _pair(predicted, reference)

    def score(squares: np.ndarray) -> np.ndarray:
        return np.stack([(squares <= cutoff**2).mean(axis=1) for cutoff in _GDT_CUTOFFS], axis=1)

    found = [_search(predicted, reference, cutoff, cutoff, score) for cutoff in _GDT_CUTOFFS]
    return float(np.max(found, axis=0).mean())


def lddt(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> float:
    """Local distance difference test over all pairs of atoms of different residues within 15 Angstrom.

    Mariani et al., Bioinformatics 29, 2722, 2013, as biotite computes it, without its stereochemistry checks. NaN when
    no two atoms are that close.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, A, 3)
        A is 37 for all atoms; ``[:, 1:2]`` of these gives the CA lDDT.
    atom_mask : ndarray, shape=(L, A), dtype=bool
        The atoms to compare: ``prediction.atom_mask & structure.atom_mask``.
    """
    from biotite.structure import lddt as biotite_lddt

    subject, known = _masked_pair(predicted, reference, atom_mask)
    return float(biotite_lddt(_atom_array(known, atom_mask), subject))


def lddt_per_residue(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """``lddt`` of each residue's own pairs: shape (L,), float64; NaN for a residue without an atom or a neighbour."""
    from biotite.structure import lddt as biotite_lddt

    subject, known = _masked_pair(predicted, reference, atom_mask)
    with np.errstate(invalid="ignore"):  # 0 / 0 where a residue has no neighbour, which is the NaN that is promised
        scores = biotite_lddt(_atom_array(known, atom_mask), subject, aggregation="residue")
    per_residue = np.full(len(atom_mask), np.nan)
    per_residue[np.any(atom_mask, axis=1)] = scores
    return per_residue


def chi_angles(sequence: str, positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """Side-chain dihedral angles chi 1 to 4, by the sign convention of IUPAC.

    Parameters
    ----------
    sequence : str
        L letters.
    positions : ndarray, shape=(L, 37, 3)
    atom_mask : ndarray, shape=(L, 37), dtype=bool

    Returns
    -------
    ndarray, shape=(L, 4), dtype=float64
        Radians, -pi to pi; NaN where a residue has no such angle or lacks one of its atoms.
    """
    from biotite.structure import dihedral

    angles = np.full((len(sequence), 4), np.nan)
    for letter in set(sequence):
        rows = np.flatnonzero(np.array(list(sequence)) == letter)
        for i, names in enumerate(CHI_ATOMS[letter]):
            atoms = [ATOM_ORDER[name] for name in names]
            there = rows[atom_mask[rows][:, atoms].all(axis=1)]
            angles[there, i] = dihedral(*np.asarray(positions, dtype=np.float64)[there][:, atoms].transpose(1, 0, 2))
    return angles


def chi_errors(sequence: str, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Absolute difference of chi angles: the smaller one where swapping two like atoms turns an angle by 180 degrees.

    Parameters
    ----------
    sequence : str
        L letters.
    predicted, reference : ndarray, shape=(L, 4)
        Radians, from `chi_angles`.

    Returns
    -------
    ndarray, shape=(L, 4), dtype=float64
        Radians, 0 to pi; NaN where either is.
    """
    symmetric = np.array([[(letter, i) in CHI_IS_SYMMETRIC for i in range(4)] for letter in sequence])
    period = np.where(symmetric, np.pi, 2 * np.pi)
    difference = np.mod(predicted - reference, period)
    return np.minimum(difference, period - difference)


def representative_atoms(positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """The atom that stands for a residue in contacts: CB, or CA where there is no CB, as in glycine.

    Parameters
    ----------
    positions : ndarray, shape=(L, 37, 3)
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        Of both structures together (``&``), so that the same atoms stand for both.

    Returns
    -------
    ndarray, shape=(L, 3)
    """
    ca, cb = ATOM_ORDER["CA"], ATOM_ORDER["CB"]
    return np.where(atom_mask[:, cb, None], positions[:, cb], positions[:, ca])


def contact_agreement(
    predicted: np.ndarray, reference: np.ndarray, *, cutoff: float = 8.0, min_separation: int = 6
) -> ContactAgreement:
    """Which contacts of the reference were predicted, and which of the predicted ones are there.

    Two residues i < j of a chain are in contact when their atoms are less than ``cutoff`` Angstrom apart and
    j - i >= ``min_separation``. With P the contacts of the prediction and R those of the reference, precision is
    |P & R| / |P|, recall |P & R| / |R|, and F1 = 2 |P & R| / (|P| + |R|).

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3)
        One atom a residue: see ``representative_atoms``.
    """
    predicted, reference = _pair(predicted, reference)
    ours, theirs = (_contacts(points, cutoff, min_separation) for points in (predicted, reference))
    both, made, there = (int(contacts.sum()) for contacts in (ours & theirs, ours, theirs))
    return ContactAgreement(_ratio(both, made), _ratio(both, there), _ratio(2 * both, made + there))


def distogram_kl(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Kullback-Leibler divergence of a distogram from the one it should be, in nats: the mean over all residue pairs.

    sum_k r_k ln(r_k / p_k), with r and p the softmax over the bins of the reference's and the prediction's logits.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, L, bins)
        Logits of any float type.
    """
    predicted, reference = np.asarray(predicted), np.asarray(reference)
    if predicted.shape != reference.shape or predicted.ndim != 3 or not predicted.size:
        raise InputError(
            f"distograms of one shape (L, L, bins) are needed: that of the prediction is {predicted.shape}, that of "
            f"the reference {reference.shape}"
        )
    rows = [_row_kl(*logits) for logits in zip(predicted, reference, strict=True)]  # not all pairs in float64 at once
    if not np.isfinite(rows).all():
        raise InputError("a distogram holds a logit that is not finite")
    return float(np.mean(rows))


def _row_kl(predicted: np.ndarray, reference: np.ndarray) -> float:
    ours, theirs = _log_softmax(predicted), _log_softmax(reference)
    return float((np.exp(theirs) * (theirs - ours)).sum(axis=-1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # infinity less infinity: the NaN is refused above
        shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _contacts(points: np.ndarray, cutoff: float, min_separation: int) -> np.ndarray:
    """Shape (pairs,), bool: whether each pair far enough apart in sequence is in contact."""
    first, second = np.triu_indices(len(points), k=min_separation)
    return np.linalg.norm(points[first] - points[second], axis=1) < cutoff


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _pair(predicted: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 arrays (N, 3) that fit each other."""
    predicted, reference = (np.asarray(points, dtype=np.float64) for points in (predicted, reference))
    for name, points in (("prediction", predicted), ("reference", reference)):
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"positions of shape (N, 3) are needed, those of the {name} have shape {points.shape}")
    if len(predicted) != len(reference):
        raise InputError(f"the reference has {len(reference)} atoms, the prediction {len(predicted)}")
    if len(reference) == 0:
        raise InputError("there is no atom to compare")
    for name, points in (("prediction", predicted), ("reference", reference)):
        if not np.isfinite(points).all():
            bad = int((~np.isfinite(points)).any(axis=1).sum())
            raise InputError(f"{bad} of the {len(points)} atoms of the {name} have a position that is not finite")
    return predicted, reference


def _masked_pair(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masked atoms of both, shape (N, 3)."""
    if len(predicted) != len(reference):
        raise InputError(f"the reference has {len(reference)} residues, the prediction {len(predicted)}")
    for name, positions in (("prediction", predicted), ("reference", reference)):
        if np.shape(positions) != (*np.shape(atom_mask), 3):
            raise InputError(
                f"the atom mask has shape {np.shape(atom_mask)}, the positions of the {name} {np.shape(positions)}: "
                "(L, A) and (L, A, 3) are needed"
            )
    return _pair(predicted[atom_mask], reference[atom_mask])


def _atom_array(points: np.ndarray, atom_mask: np.ndarray) -> AtomArray:
    """The N masked atoms as biotite holds them; only residue and position matter for lDDT."""
    from biotite.structure import AtomArray

    atoms = AtomArray(len(points))
    atoms.coord = points.astype(np.float32)
    atoms.res_id = np.nonzero(atom_mask)[0] + 1
    return atoms


def _rotations(covariances: np.ndarray) -> np.ndarray:
    """Shape (S, 3, 3): the rotations R that minimise |R x - y|, from sums of x y^T about the means."""
    u, _, vt = np.linalg.svd(covariances)
    # A reflection where the determinant is -1: the axis that matters least is turned round.
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.swapaxes(u @ vt, 1, 2)


def _search(predicted: np.ndarray, reference: np.ndarray, first: float, then: float, score: Score) -> np.ndarray:
    """The best scores over many superpositions.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3), dtype=float64
    first, then : float
        Angstrom: residues closer than this after a superposition make up the next one.
    score : callable
        What to make large: squared distances (S, L) to scores (S, K).

    Returns
    -------
    ndarray, shape=(K,)
        Each the best over all superpositions.
    """
    sums = _sums(predicted - predicted.mean(axis=0), reference - reference.mean(axis=0))
    rows = max(1, _BATCH_ELEMENTS // len(sums))
    seeds = _seeds(len(sums))
    done: set[bytes] = set()
    found = [_extend(sums, seeds[i : i + rows], first, then, score, done) for i in range(0, len(seeds), rows)]
    return np.max(found, axis=0)


def _extend(
    sums: np.ndarray, seeds: np.ndarray, first: float, then: float, score: Score, done: set[bytes]
) -> np.ndarray:
    """Superpose on each set of residues, then on those that came near; ``done`` holds the sets that were tried."""
    residues = np.arange(len(sums))
    chosen = (seeds[:, :1] <= residues) & (residues < seeds[:, 1:])
    squares = _squared_distances(sums, chosen)
    best = score(squares).max(axis=0)
    cutoff = first
    for _ in range(_MAX_EXTENSIONS):
        chosen = _untried(_near(squares, cutoff), done)
        if not len(chosen):
            break
        squares = _squared_distances(sums, chosen)
        best = np.maximum(best, score(squares).max(axis=0))
        cutoff = then
    return best


def _seeds(length: int) -> np.ndarray:
    """Shape (S, 2): first residue and end of every fragment of L, L/2, L/4, ... and 4 residues."""
    sizes, size = [length], length // 2
    while size > _SHORTEST_SEED:
        sizes.append(size)
        size //= 2
    sizes.append(min(_SHORTEST_SEED, length))
    return np.array([(start, start + size) for size in sizes for start in range(length - size + 1)])


def _near(squares: np.ndarray, cutoff: float) -> np.ndarray:
    """Shape (S, L), bool: the residues within the cutoff, and the three nearest where they are fewer."""
    near = squares < cutoff**2
    few = np.nonzero(near.sum(axis=1) < 3)[0]
    nearest = np.argsort(squares[few], axis=1)[:, :3]
    near[few[:, None], nearest] = True
    return near


def _untried(chosen: np.ndarray, done: set[bytes]) -> np.ndarray:
    """The rows that were not tried before, each once; notes them as tried."""
    index_of = {row.tobytes(): index for index, row in enumerate(np.packbits(chosen, axis=1))}
    fresh = [index for key, index in index_of.items() if key not in done]
    done.update(index_of)
    return chosen[fresh]


def _sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Shape (L, 17): 1, x, y, x y^T and |x|^2 + |y|^2 of each residue.

    Their sums over a set of residues give its superposition, and the squared distances under any superposition are
    linear in them, so that both come as one matrix product for many superpositions at once.
    """
    products = (x[:, :, None] * y[:, None, :]).reshape(len(x), 9)
    squares = (x**2).sum(axis=1, keepdims=True) + (y**2).sum(axis=1, keepdims=True)
    return np.concatenate([np.ones((len(x), 1)), x, y, products, squares], axis=1)


def _squared_distances(sums: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Shape (S, L): of all residues, superposed on those chosen (S, L)."""
    totals = chosen.astype(np.float64) @ sums
    count = totals[:, :1]
    x, y = totals[:, 1:4] / count, totals[:, 4:7] / count
    covariances = totals[:, 7:16].reshape(-1, 3, 3) - count[:, :, None] * x[:, :, None] * y[:, None, :]
    rotations = _rotations(covariances)
    shifts = y - np.einsum("sab,sb->sa", rotations, x)
    # |R x + t - y|^2 = |x|^2 + |y|^2 + |t|^2 + 2 (R^T t) x - 2 t y - 2 sum_ab R_ba x_a y_b
    coefficients = np.concatenate(
        [
            (shifts**2).sum(axis=1, keepdims=True),
            2 * np.einsum("sba,sb->sa", rotations, shifts),
            -2 * shifts,
            -2 * np.swapaxes(rotations, 1, 2).reshape(-1, 9),
            np.ones_like(count),
        ],
        axis=1,
    )
    return np.maximum(coefficients @ sums.T, 0)
