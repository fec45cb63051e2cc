from __future__ import annotations

import io
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.training.data import Chains
from benchmarks.training.structure_database import read_database
from lowmem_fold.errors import InputError
from lowmem_fold.metrics import chi_angles
from lowmem_fold.predictions.structures import read_backbones, read_pdb
from lowmem_fold.sequences.residues import RESIDUE_LETTERS

pytest.importorskip("biotite", reason="structures are read with biotite")
prepare = pytest.importorskip("benchmarks.training.prepare", reason="structures are read with biotite")
TS50 = Path(__file__).parents[3] / "benchmarks" / "data" / "ts50"
CHAINS = {"1ABC_A": 25, "2ABC_B": 310, "3ABC_C": 19, "4ABC_D": 256, "5ABC_E": 280, "6ABC_F": 40, "7ABC_G": 33}


def _database() -> tuple[bytes, dict[str, bytes], dict[str, np.ndarray]]:
    """A database file of random chains, written by hand; each one's letters and atoms."""
    rng = np.random.default_rng(0)
    total, start, entries = sum(CHAINS.values()), 0, b""
    letters = bytes(rng.choice(list(b"ACDEFGHIKLMNPQRSTVWY"), total).tolist())
    steps = rng.integers(-300, 300, size=(total, 1, 3)).cumsum(0) % 8000
    atoms = (steps + rng.integers(-150, 150, size=(total, 4, 3))).astype("<i2")
    sequences, positions = {}, {}
    for name, length in CHAINS.items():
        identifier, chain = name.split("_")
        entries += struct.pack("<I4sI1sIHHfff", 4, identifier.encode(), 1, chain.encode(), start, length, 1, 0, 0, 0)
        sequences[name], positions[name] = letters[start : start + length], atoms[start : start + length]
        start += length
    head = struct.pack("<II", 1234, 2).ljust(77, b"\0") + struct.pack("<Q", len(CHAINS))
    columns = struct.pack("<Q", total) + letters + struct.pack("<Q", total) + atoms.tobytes() + b"more"
    return head + entries + columns, sequences, positions


def _debian_package(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        member = tarfile.TarInfo("./usr/share/promod3/loop_data/structure_db.dat")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    package = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", buffer.getvalue())):
        package += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        package += b"\n" * (len(content) % 2)
    return package


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    path = tmp_path / "structure_db.dat"
    path.write_bytes(_database()[0])
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["file", "package"])
def test_the_database_is_read(tmp_path: Path, packed: bool) -> None:
    data, sequences, positions = _database()
    path = tmp_path / ("promod3-data.deb" if packed else "structure_db.dat")
    path.write_bytes(_debian_package(data) if packed else data)
    database = read_database(path)
    assert dict(zip(database.ids, database.lengths.tolist(), strict=True)) == CHAINS
    for chain, name in enumerate(CHAINS):
        assert database.sequence(chain) == sequences[name]
        np.testing.assert_array_equal(database.atoms(chain), positions[name])


@pytest.mark.parametrize("content", [b"", b"PK" * 100, _database()[0][:200]], ids=["empty", "other", "cut short"])
def test_another_file_is_the_users_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"some\.dat"):
        read_database(path)


def test_preparing_leaves_out_what_is_near_the_held_out(
    tmp_path: Path, database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sequences, positions = _database()
    joined = {"6ABC_F": "held-out-0"}  # the chain that the held-out sequence falls together with

    def cluster(given: dict[str, str]) -> dict[str, str]:
        together = "held-out-0" in given
        return {name: joined.get(name.rsplit("_", 1)[0], name) if together else "rep-" + name for name in given}

    monkeypatch.setattr(prepare, "cluster", cluster)
    (tmp_path / "test.fasta").write_text(">test\nACDEFGHIKLMNPQRSTVWY\n")
    out = tmp_path / "chains.npz"
    prepare.main(["backbones", str(database_path), "--held-out", str(tmp_path / "test.fasta"), "--out", str(out)])
    kept = ["1ABC_A", "4ABC_D", "7ABC_G"]
    structures = list(read_backbones(out))
    assert [structure.id for structure in structures] == kept
    for structure in structures:
        assert structure.sequence.encode() == sequences[structure.id]
        expected = positions[structure.id][:, :3] / 100.0
        np.testing.assert_allclose(
            structure.positions[:, :3] - structure.positions[0, 1], expected - expected[0, 1], atol=1e-3
        )
    assert sum(len(cluster) for split in ("train", "val") for cluster in Chains(out, split).clusters) == 3
    assert not list(tmp_path.glob(".*"))


def test_side_chains_near_the_held_out_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["1ahsA", "3t5gB", "4gcnA"]
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        for name in names:
            wheel.write(TS50 / f"{name}.pdb.gz", f"some/{name}.pdb.gz")
    monkeypatch.setattr(prepare, "cluster", lambda given: {name: name for name in given})
    monkeypatch.setattr(prepare, "near", lambda given, held_out: {name for name in given if name.startswith("3t5gB")})
    (tmp_path / "test.fasta").write_text(">test\nACDEFGHIKLMNPQRSTVWY\n")
    out = tmp_path / "side-chains.npz"
    prepare.main(
        ["side-chains", str(tmp_path / "some.whl"), "--held-out", str(tmp_path / "test.fasta"), "--out", str(out)]
    )
    structures = {structure.sequence: structure for structure in (read_pdb(TS50 / f"{name}.pdb.gz") for name in names)}
    chains = Chains(out, "train")
    kept = [chain for cluster in chains.clusters for chain in cluster]
    assert sorted(chains.ids[chain] for chain in kept) == ["1ahsA_A", "4gcnA_A"]
    for chain in kept:
        sequence = "".join(RESIDUE_LETTERS[i] for i in chains.aatype(chain))
        known = structures[sequence]
        expected = chi_angles(sequence, known.positions, known.atom_mask)
        np.testing.assert_allclose(chains.chi(chain), expected, atol=2e-3)  # kept in half precision


def test_near_finds_a_short_piece_of_a_held_out_protein() -> None:
    if shutil.which("mmseqs") is None:
        pytest.skip("the program mmseqs is not installed")
    whole, other = (read_pdb(TS50 / f"{name}.pdb.gz").sequence for name in ("1ahsA", "3t5gB"))
    pieces = {"piece": whole[20:60], "other": other}
    assert prepare.near(pieces, {"held-out-0": whole}) == {"piece"}
    assert prepare.cluster({**pieces, "held-out-0": whole})["piece"] == "piece"  # which clustering alone would keep


def test_without_mmseqs_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="apt-get install mmseqs2"):
        prepare.cluster({"a": "ACD"})
