from __future__ import annotations

import gzip
import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.metrics import chi_angles
from lowmem_fold.predictions.structures import read_pdb
from lowmem_fold.sequences.residues import ATOM_ORDER

pdb, pdbx = (
    pytest.importorskip(f"biotite.structure.io.{name}", reason="structures are read with biotite")
    for name in ("pdb", "pdbx")
)
read_packages = pytest.importorskip(
    "benchmarks.training.full_atom", reason="structures are read with biotite"
).read_packages
FILE = Path(__file__).parents[3] / "benchmarks" / "data" / "ts50" / "4gcnA.pdb.gz"
KNOWN = read_pdb(FILE)
TEXT = gzip.decompress(FILE.read_bytes()).decode()
BACKBONE = [ATOM_ORDER[name] for name in ("N", "CA", "C", "O")]


def _lines(keep: range) -> list[str]:
    """The atoms of some residues of the file, counted from 0."""
    lines = [line for line in TEXT.splitlines() if line.startswith("ATOM")]
    numbers = list(dict.fromkeys(line[22:27] for line in lines))
    return [line for line in lines if numbers.index(line[22:27]) in keep]


def _wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def _tarball(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _mmcif() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file's element column is partly empty
        atoms = pdb.PDBFile.read(io.StringIO(TEXT)).get_structure(model=1)
    file, text = pdbx.CIFFile(), io.StringIO()
    pdbx.set_structure(file, atoms)
    file.write(text)
    return text.getvalue().encode()


def _package(tmp_path: Path, kind: str) -> Path:
    if kind == "wheel of pdb.gz":
        return _wheel(tmp_path / "a.whl", {"a/4gcnA.pdb.gz": FILE.read_bytes(), "a/x.py": b"import os"})
    if kind == "tarball of cif":
        return _tarball(tmp_path / "a.tar.gz", {"a/4gcnA.cif": _mmcif()})
    atoms = "\n".join(line[:66] + "    +0.123 OA" for line in TEXT.splitlines() if line.startswith("ATOM"))
    return _wheel(tmp_path / "a.whl", {"4gcnA.pdbqt": f"REMARK x\nROOT\n{atoms}\nENDROOT\n".encode()})


@pytest.mark.parametrize("kind", ["wheel of pdb.gz", "tarball of cif", "wheel of pdbqt"])
def test_a_chain_is_read_from_each_kind_of_file(tmp_path: Path, kind: str) -> None:
    chains = read_packages([_package(tmp_path, kind)], shortest=20)
    assert (len(chains), chains.ids) == (1, ["4gcnA_A"])
    assert chains.sequence(0).decode() == KNOWN.sequence
    expected = KNOWN.positions[:, BACKBONE]
    np.testing.assert_allclose(chains.atoms(0) / 100, expected - expected[0, 1], atol=0.0051)
    np.testing.assert_allclose(
        chains.angles(0), chi_angles(KNOWN.sequence, KNOWN.positions, KNOWN.atom_mask), atol=1e-4
    )


def test_a_gap_and_an_unknown_residue_part_a_chain(tmp_path: Path) -> None:
    lines = [*_lines(range(30)), *_lines(range(35, 80))]
    lines = [
        line[:17] + "PTR" + line[20:] if line[22:27] == _lines(range(50, 51))[0][22:27] else line for line in lines
    ]
    chains = read_packages([_wheel(tmp_path / "a.whl", {"x.pdb": "\n".join(lines).encode()})], shortest=10)
    whole = KNOWN.sequence
    assert [chains.sequence(i).decode() for i in range(len(chains))] == [whole[:30], whole[35:50], whole[51:80]]


def test_selenomethionine_and_charged_histidine_are_read(tmp_path: Path) -> None:
    lines = [
        line.replace("MET", "MSE").replace(" SD ", "SE  ").replace("HIS", "HID")
        for line in _lines(range(len(KNOWN.sequence)))
    ]
    chains = read_packages([_wheel(tmp_path / "a.whl", {"x.pdb": "\n".join(lines).encode()})], shortest=10)
    assert chains.sequence(0).decode() == KNOWN.sequence and "M" in KNOWN.sequence and "H" in KNOWN.sequence
    expected = chi_angles(KNOWN.sequence, KNOWN.positions, KNOWN.atom_mask)
    np.testing.assert_allclose(chains.angles(0), expected, atol=1e-4)


def test_the_same_sequence_is_taken_once_and_broken_files_not_at_all(tmp_path: Path) -> None:
    one = _wheel(
        tmp_path / "a.whl", {"b.pdb.gz": FILE.read_bytes(), "c.pdb.gz": b"crooked", "d.pdb": b"ATOM  nonsense"}
    )
    two = _tarball(tmp_path / "a.tar.gz", {"a.pdb.gz": FILE.read_bytes()})
    assert read_packages([one, two], shortest=20).ids == ["b_A"]


def test_a_package_that_cannot_be_read_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"a\.tar\.gz: not a package"):
        read_packages([tmp_path / "a.tar.gz"], shortest=20)
    with pytest.raises(InputError, match="no protein chain of 200 residues"):
        read_packages([_wheel(tmp_path / "a.whl", {"b.pdb.gz": FILE.read_bytes()})], shortest=200)
