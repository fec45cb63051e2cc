"""The result of folding one record: coordinates, confidence, and whether they can be true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sequences.records import chain_label
from ..sequences.residues import NUM_ATOMS
from ..system.terminal import printable
from .plausibility import prediction_problems
from .prediction_files import save_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Prediction"]


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """A predicted structure of L residues; linkers between chains are not in it.

    As the result of a cell, a notebook shows it: the scores, and the structure to be turned, without a network. Such an
    output holds the viewer too: 0.24 MB, and 0.25 kB for each residue, each time it is shown. In a notebook of many
    structures, show `plot_structure` instead. Text shows one line.

    Attributes
    ----------
    id : str
        Name of the record, and of its files.
    chains : tuple of str
        Sequences of the chains, upper case, the 20 amino acids and X.
    positions : ndarray, shape=(L, 37, 3), dtype=float32
        Angstrom, atom37 order.
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        The atoms that the residues have. An X has N, CA, C and O.
    plddt : ndarray, shape=(L,), dtype=float32
        0 to 100, that of the CA atom.
    atom_plddt : ndarray, shape=(L, 37), dtype=float32
        0 to 100, of each atom.
    ptm : float
        Predicted TM-score, 0 to 1, over real residues only.
    iptm : float or None
        The same between chains; None for one chain.
    pae : ndarray, shape=(L, L), dtype=float32, or None
        Predicted aligned error in Angstrom: [i, j] is the error at residue j when aligned on residue i.
    num_passes : int
        Passes through the trunk, the recycles and one.
    max_pae : float
        The largest PAE the model can state, Angstrom.
    chain_pair_iptm : ndarray, shape=(n, n), dtype=float32, or None
        ipTM of each pair of the n chains.
    distogram_logits : ndarray, shape=(L, L, 64), dtype=float32, or None
        Of the CB distance of each pair, in the bins of the model's distogram. No file holds them.
    """

    id: str
    chains: tuple[str, ...]
    positions: np.ndarray
    atom_mask: np.ndarray
    plddt: np.ndarray
    atom_plddt: np.ndarray
    ptm: float
    iptm: float | None = None
    pae: np.ndarray | None = None
    num_passes: int = 1
    max_pae: float = 31.75
    chain_pair_iptm: np.ndarray | None = None
    distogram_logits: np.ndarray | None = None

    def __post_init__(self) -> None:
        length, chains = self.length, len(self.chains)
        for name, shape in {
            "positions": (length, NUM_ATOMS, 3),
            "atom_mask": (length, NUM_ATOMS),
            "plddt": (length,),
            "atom_plddt": (length, NUM_ATOMS),
            "pae": (length, length),
            "chain_pair_iptm": (chains, chains),
        }.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} of {self.id!r} has shape {array.shape}, its chains need {shape}")

    def __repr__(self) -> str:
        figures = self.headline()
        counts = [f"{figures.pop(name)} {name}" for name in ("residues", "chains")]
        counts[1] = counts[1].removesuffix("s") if len(self.chains) == 1 else counts[1]
        values = [f"{name} {value}" for name, value in figures.items()]
        return printable(f"<Prediction {self.id}: {', '.join([*counts, *values])}>").replace("\n", " ")

    def _repr_html_(self) -> str:
        from ..view.of_prediction import prediction_html

        return prediction_html(self)

    def headline(self) -> dict[str, str]:
        """Return what a line or a table says of it: residues, chains, mean pLDDT, pTM, ipTM."""
        return {
            "residues": str(self.length),
            "chains": str(len(self.chains)),
            "mean pLDDT": f"{self.mean_plddt:.1f}",
            "pTM": f"{self.ptm:.3f}",
            **({} if self.iptm is None else {"ipTM": f"{self.iptm:.3f}"}),
        }

    @property
    def length(self) -> int:
        """Number of residues L."""
        return sum(map(len, self.chains))

    @property
    def sequence(self) -> str:
        """The chains, separated by ``:``."""
        return ":".join(self.chains)

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """Names of the chains: A to Z, a to z, 0 to 9, AA, AB, ..."""
        return tuple(chain_label(index) for index in range(len(self.chains)))

    @cached_property
    def chain_index(self) -> np.ndarray:
        """Chain of each residue from 0: ndarray, shape=(L,), dtype=int64."""
        return np.repeat(np.arange(len(self.chains)), [len(chain) for chain in self.chains])

    @cached_property
    def residue_number(self) -> np.ndarray:
        """Number of each residue from 1 in its chain: ndarray, shape=(L,), dtype=int64."""
        return np.concatenate([np.arange(1, len(chain) + 1) for chain in self.chains])

    @property
    def mean_plddt(self) -> float:
        """Mean of ``plddt``: every residue counts once, by its CA."""
        return float(np.mean(self.plddt, dtype=np.float64))

    @property
    def mean_atom_plddt(self) -> float:
        """Mean over the existing atoms, so that large residues count more: the figure that esm-fold prints."""
        return float(np.mean(self.atom_plddt[self.atom_mask], dtype=np.float64))

    def chain_pair_pae(self) -> np.ndarray | None:
        """Mean PAE of each pair of chains.

        Returns
        -------
        ndarray, shape=(n, n), dtype=float64, or None
            Angstrom: [a, b] is the mean error in chain b when aligned on chain a. None without ``pae``.
        """
        if self.pae is None:
            return None
        starts = np.cumsum([0, *map(len, self.chains[:-1])])
        sums = np.add.reduceat(np.add.reduceat(self.pae.astype(np.float64), starts, axis=0), starts, axis=1)
        lengths = np.array([len(chain) for chain in self.chains])
        return sums / np.outer(lengths, lengths)

    def problems(self) -> tuple[str, ...]:
        """Reasons for which the result cannot be true, empty if there are none.

        Not finite numbers; of each chain, whatever its pLDDT, consecutive CA atoms that are not 3.8 Angstrom apart,
        clashes, and a radius of gyration that no chain of its length has (`plausibility`); a pTM of ``PERFECT_PTM`` or
        more with one of these, or with a mean pLDDT below ``MIN_PLDDT_OF_PERFECT_PTM``. Each is one line.
        """
        return prediction_problems(self)

    def to_pdb(self) -> str:
        """The structure as PDB text, pLDDT in the B-factor.

        Raises
        ------
        InputError
            If it does not fit the format's columns; mmCIF has no such limits.
        """
        from .pdb import pdb_text

        return pdb_text(self)

    def to_cif(self) -> str:
        """The structure as mmCIF text with the ModelCIF categories from which viewers colour by pLDDT."""
        from .mmcif import cif_text

        return cif_text(self)

    def scores(self) -> dict[str, Any]:
        """Confidence as a dictionary that JSON can hold; a number that is not finite becomes None.

        pLDDT 0 to 100 per residue (CA), PAE in Angstrom, pTM and ipTM 0 to 1. ``mean_plddt`` is over residues,
        ``mean_atom_plddt`` over atoms (what esm-fold prints). Tables of chain pairs are None for one chain.
        """
        pairs = len(self.chains) > 1
        return _plain(
            {
                "id": self.id,
                "length": self.length,
                "chain_ids": self.chain_ids,
                "chain_lengths": [len(chain) for chain in self.chains],
                "sequence": self.sequence,
                "mean_plddt": self.mean_plddt,
                "mean_atom_plddt": self.mean_atom_plddt,
                "ptm": self.ptm,
                "iptm": self.iptm,
                "num_passes": self.num_passes,
                "max_pae": self.max_pae,
                "chain_pair_iptm": self.chain_pair_iptm if pairs else None,
                "chain_pair_pae": self.chain_pair_pae() if pairs else None,
                "plddt": np.round(self.plddt.astype(np.float64), 2),
                "problems": self.problems(),
            }
        )

    def view(self) -> Any:
        """Return a `py3Dmol.view` of the structure, coloured by pLDDT, to change and to turn in a notebook.

        It needs no network: each output holds 3Dmol.js too, 0.2 MB beside the structure as text. For the structure
        alone, let the prediction itself be the result of a cell, which does not need py3Dmol.

        Raises
        ------
        InputError
            If py3Dmol is not installed.
        LowmemFoldError
            If coordinates or pLDDT are not finite.
        """
        from ..view.of_prediction import view_prediction

        return view_prediction(self)

    def plot_structure(self) -> Figure:
        """A still picture of the structure, coloured by pLDDT. A notebook shows it; ``.savefig(path)`` writes it.

        Raises
        ------
        InputError
            If matplotlib is not installed, or no residue has a place.
        """
        from ..view.of_prediction import structure_figure

        return structure_figure(self)

    def plot_plddt(self) -> Figure:
        """pLDDT over the residues. A notebook shows it; ``.savefig(path)`` writes it. InputError without matplotlib."""
        from ..view.of_prediction import plddt_figure

        return plddt_figure(self)

    def plot_pae(self) -> Figure:
        """PAE of each pair of residues, with the borders of chains. A notebook shows it; ``.savefig(path)`` writes it.

        Raises
        ------
        InputError
            If there is no PAE, or matplotlib is not installed.
        """
        from ..view.of_prediction import pae_figure

        return pae_figure(self)

    def save(
        self, folder: str | Path, *, format: str = "pdb", save_pae: bool = False, overwrite: bool = False
    ) -> list[Path]:
        """Write the structure, ``<id>.scores.json`` and, if asked for, ``<id>.pae.json``; each whole or not at all.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there.
        format : str
            ``pdb``, ``cif`` or ``both``.
        save_pae : bool
            Write PAE in the form of the AlphaFold database.
        overwrite : bool
            Whether files of this id may be replaced that are of another sequence, or of what cannot be told. Those of
            the same sequence are replaced in any case.

        Returns
        -------
        list of Path
            The files in the order in which they were written: the scores come last.

        Raises
        ------
        InputError
            If the id cannot be the name of a file, the format is unknown, the structure does not fit it, there is no
            PAE to write, the folder cannot be made, or files are in the way. Nothing is written.
        LowmemFoldError
            If coordinates or pLDDT are not finite. Nothing is written.
        """
        return save_files(self, self.scores(), Path(folder), format, save_pae, overwrite)


def _plain(value: Any) -> Any:
    """Containers and arrays as lists, floats of four decimals, what is not finite as None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
