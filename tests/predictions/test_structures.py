from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.predictions.structures import (
    Structure,
    read_backbones,
    read_pdb,
    read_pdb_folder,
    read_structures,
    write_structures,
)
from lowmem_fold.sequences.residues import ATOM_NAMES, existing_atoms

DATA = Path(__file__).parents[2] / "benchmarks" / "data"
N, CA, C = 0, 1, 2  # atom37
BACKBONE = [ATOM_NAMES.index(name) for name in ("N", "CA", "C", "O")]


def _columns(path: Path) -> dict[tuple[int, str], list[float]]:
    """The atoms of a PDB file by its columns: (residue from 0, atom name) to x, y, z."""
    atoms: dict[tuple[int, str], list[float]] = {}
    numbers: list[str] = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if line.startswith("ATOM"):
            if not numbers or line[22:27] != numbers[-1]:
                numbers.append(line[22:27])
            atoms[len(numbers) - 1, line[12:16].strip()] = [float(line[i : i + 8]) for i in (30, 38, 46)]
    return atoms


def _fasta(path: Path) -> dict[str, str]:
    records = path.read_text().split(">")[1:]
    return {record.split()[0]: "".join(record.split("\n")[1:]) for record in records}


@pytest.mark.parametrize("name", ["1ahsA", "3t5gB", "4gcnA"])
def test_read_pdb_has_every_atom_of_the_columns(name: str) -> None:
    path = DATA / "ts50" / f"{name}.pdb.gz"
    structure, expected = read_pdb(path), _columns(path)
    assert structure.id == name
    assert int(structure.atom_mask.sum()) == len(expected)
    for (residue, atom), position in expected.items():
        slot = ATOM_NAMES.index(atom)
        assert structure.atom_mask[residue, slot]
        np.testing.assert_allclose(structure.positions[residue, slot], position, atol=1e-4)


def test_the_50_chains_are_whole_and_their_atoms_fit_their_residues() -> None:
    structures = read_pdb_folder(DATA / "ts50")
    assert len(structures) == 50
    assert (min(s.length for s in structures), max(s.length for s in structures)) == (79, 173)
    missing = [int((existing_atoms(s.sequence) & ~s.atom_mask).sum()) for s in structures]
    assert (sum(missing), sum(count > 0 for count in missing)) == (132, 14), "benchmarks/data/README.md says so"
    for structure in structures:
        assert structure.atom_mask[:, BACKBONE].all()
        surplus = structure.atom_mask & ~existing_atoms(structure.sequence)
        assert {ATOM_NAMES[slot] for slot in np.nonzero(surplus)[1]} <= {"OXT"}
        assert (np.linalg.norm(np.diff(structure.ca, axis=0), axis=1) < 4.2).all(), "a gap in the chain"


def test_carbonic_anhydrase_has_the_geometry_of_a_peptide() -> None:
    (structure,) = read_backbones(DATA / "ca2_5Y2S_A.npz")
    assert (structure.id, structure.length) == ("5Y2S_A", 257)
    assert structure.atom_mask.sum() == 3 * 257
    n, ca, c = (structure.positions[:, atom].astype(float) for atom in (N, CA, C))
    # Bond lengths of Engh and Huber (1991): N-CA 1.458, CA-C 1.525, C-N 1.329 Angstrom.
    for lengths, ideal in ((ca - n, 1.458), (c - ca, 1.525), (n[1:] - c[:-1], 1.329)):
        assert np.median(np.linalg.norm(lengths, axis=1)) == pytest.approx(ideal, abs=0.02)
        assert np.linalg.norm(lengths, axis=1) == pytest.approx(np.full(len(lengths), ideal), abs=0.2)
    # Helices and most turns are right-handed: psi of -45 to -20 degrees, and the sign flips in a mirror image.
    assert -45 < _helix_psi(n, ca, c) < -20


def _helix_psi(n: np.ndarray, ca: np.ndarray, c: np.ndarray) -> float:
    """Degrees: median psi of residues whose CA is within 5.5 Angstrom of that three residues on (helix, turn)."""
    axis = c[:-1] - ca[:-1]
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    before, after = n[:-1] - ca[:-1], n[1:] - c[:-1]
    before -= (before * axis).sum(1, keepdims=True) * axis
    after -= (after * axis).sum(1, keepdims=True) * axis
    psi = np.degrees(np.arctan2((np.cross(axis, before) * after).sum(1), (before * after).sum(1)))
    helix = np.linalg.norm(ca[3:] - ca[:-3], axis=1) < 5.5
    return float(np.median(psi[:-2][helix]))


def test_fasta_files_hold_the_sequences_of_the_structures() -> None:
    chains = {s.id: s.sequence for s in read_pdb_folder(DATA / "ts50")}
    assert _fasta(DATA / "ts50.fasta") == chains
    (anhydrase,) = read_backbones(DATA / "ca2_5Y2S_A.npz")
    demo = _fasta(DATA / "demo.fasta")
    assert demo.pop(anhydrase.id) == anhydrase.sequence
    assert len(demo) == 4
    assert demo.items() <= chains.items()


def test_backbones_of_several_chains_start_anew_with_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([3, 5])
    deltas = rng.integers(-20_000, 20_000, (8, 3, 3)).astype(np.int16)  # sums beyond the range of int16
    path = tmp_path / "two.npz"
    letters = np.frombuffer(b"AAAWWWWW", dtype=np.uint8)
    np.savez(path, ids=np.array(["first", "second"]), lengths=lengths, sequences=letters, deltas=deltas)
    first, second = read_backbones(path)
    assert (first.id, first.sequence, second.id, second.sequence) == ("first", "AAA", "second", "WWWWW")
    walk = 0.01 * sum(deltas[3:8, 1].astype(float))
    np.testing.assert_allclose(second.ca[4], walk, rtol=1e-6)
    np.testing.assert_allclose(second.positions[4, C] - second.ca[4], 0.01 * deltas[7, 2], atol=1e-3)


def test_structures_are_read_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.random((length, 37)) < 0.5 for length in (1, 4)]
    positions = [np.rint(rng.uniform(-999e3, 999e3, (*mask.shape, 3))) / 1000 * mask[..., None] for mask in masks]
    written = [
        Structure(id, sequence, each.astype(np.float32), mask)
        for id, sequence, each, mask in zip(("one", "two"), ("A", "GXWY"), positions, masks, strict=True)
    ]
    write_structures(tmp_path / "chains.npz", written)
    for found, expected in zip(read_structures(tmp_path / "chains.npz"), written, strict=True):
        assert (found.id, found.sequence) == (expected.id, expected.sequence)
        np.testing.assert_array_equal(found.atom_mask, expected.atom_mask)
        np.testing.assert_allclose(found.positions, expected.positions, rtol=1e-7, atol=0)


def test_a_residue_that_is_none_of_the_twenty_is_x(tmp_path: Path) -> None:
    path = tmp_path / "one.pdb"
    path.write_text("ATOM      1  CA  MSE A   7       1.000   2.000   3.000  1.00  0.00           C\nEND\n")
    structure = read_pdb(path)
    assert (structure.id, structure.sequence) == ("one", "X")
    np.testing.assert_array_equal(structure.ca, [[1, 2, 3]])


@pytest.mark.parametrize(
    "content",
    [b"", b"no structure at all\n", b"\x1f\x8bnot gzip", bytes(range(256))],
    ids=["empty", "text", "broken-gzip", "binary"],
)
def test_what_is_no_structure_is_an_input_error_with_the_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pdb"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pdb"):
        read_pdb(path)


def _damaged_gzip() -> bytes:
    """Its middle is noise: that is no gzip header, and no early end."""
    whole = gzip.compress((DATA / "ts50" / "3a4rA.pdb.gz").read_bytes())
    return whole[:200] + bytes(range(256)) + whole[456:]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.pdb.gz", _damaged_gzip()),
        ("bad.cif", b"data_x\n_cell.length_a 1\n"),
        ("bad.cif", b"data_x\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 2.0 3\n"),
    ],
    ids=["gzip", "no-atoms", "torn-loop"],
)
def test_a_damaged_file_is_an_input_error_with_the_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: cannot be read as a structure"):
        read_pdb(tmp_path / name)


def test_missing_file_and_empty_folder_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        read_pdb(tmp_path / "absent.pdb")
    with pytest.raises(InputError, match=r"no \*\.pdb"):
        read_pdb_folder(tmp_path)
