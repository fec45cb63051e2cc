"""Files of embeddings: what is written is read again, by us and by the libraries they are for; nothing breaks one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
import torch

from lowmem_fold.backbones.embedding import Embedding
from lowmem_fold.backbones.stores import ENDINGS, check_ending, find_store, read_embeddings, sqlite, store, tensors
from lowmem_fold.backbones.stores.file import Row
from lowmem_fold.backbones.stores.settings import refuse_mixture
from lowmem_fold.backbones.stores.store import partial_folder, sequence_key
from lowmem_fold.errors import InputError

ROOT = Path(__file__).parents[3]
KINDS = [".h5", ".sqlite", ".safetensors", ".pt"]
SETTINGS = {
    "model": "some/model",
    "fingerprint": "0123",
    "precision": "fp32",
    "layers": "6",
    "pool": ["mean"],
    "residues": True,
    "about": {"device": "cpu"},
}
SEQUENCES = {"one": "MKT", "three": "ACDEF", "two": "GG", "copy": "MKT"}
ROWS = [Row(id, sequence_key(sequence), len(sequence)) for id, sequence in SEQUENCES.items()]


@pytest.fixture(params=KINDS, ids=lambda kind: kind[1:])
def path(request, tmp_path):
    return tmp_path / "new" / f"out{request.param}"


def embedding(row: Row, wants: dict = SETTINGS) -> Embedding:
    numbers = np.random.default_rng(int(row.key[:8], 16))
    residues = numbers.standard_normal((row.length, 6)).astype(np.float32) if wants["residues"] else None
    return Embedding(residues, numbers.standard_normal(6).astype(np.float32) if wants["pool"] else None)


def write(path, rows=ROWS, settings=SETTINGS, overwrite=False, finish=True):
    """What a run does; returns the keys that it had to add."""
    place = find_store(path)
    added = []
    with place.opened(settings, overwrite):
        for row in rows:
            if row.key not in place:
                place.add({row.key: embedding(row, settings)})
                added.append(row.key)
        if finish:
            place.finish(rows, settings)
    return added


def check(path, rows=ROWS, settings=SETTINGS):
    with read_embeddings(path) as found:
        assert list(found) == [row.id for row in rows]
        assert list(found.rows.values()) == rows
        assert found.settings == settings
        for row in rows:
            expected = embedding(row, settings).arrays
            arrays = found[row.id].arrays
            assert arrays.keys() == expected.keys()
            for name, array in arrays.items():
                assert array.dtype == np.float32
                np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("wants", [{}, {"pool": []}, {"residues": False}], ids=["both", "residues", "pooled"])
def test_round_trip(path, wants):
    settings = SETTINGS | wants
    assert len(write(path, settings=settings)) == 3
    check(path, settings=settings)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_interrupted_run_goes_on(path):
    with pytest.raises(KeyboardInterrupt):
        place = find_store(path)
        with place.opened(SETTINGS, False):
            place.add({ROWS[1].key: embedding(ROWS[1])})
            raise KeyboardInterrupt
    assert not path.exists()
    assert write(path) == [ROWS[0].key, ROWS[2].key]
    check(path)
    assert not partial_folder(path).exists()


def test_records_are_added(path):
    write(path, ROWS[:2])
    assert write(path, [ROWS[3], ROWS[2]]) == [ROWS[2].key]  # the copy's sequence is there
    check(path, [ROWS[3], ROWS[2], *ROWS[:2]])


def test_other_settings_are_refused_by_name(path):
    write(path, ROWS[:1])
    before = path.read_bytes()
    other = SETTINGS | {"layers": "0,6", "pool": ["mean", "std"], "fingerprint": "4567", "about": {"device": "cuda"}}
    with read_embeddings(path) as found, pytest.raises(InputError) as caught:
        refuse_mixture(path, found.settings, other)
    for words in ("--layers: 6 there, 0,6 now", "--pool: mean there, mean,std now", "fingerprint 4567", "--overwrite"):
        assert words in str(caught.value)
    assert "cuda" not in str(caught.value)
    assert path.read_bytes() == before


def test_other_settings_of_an_interrupted_run_are_refused(path):
    write(path, ROWS[:2], finish=False)
    with pytest.raises(InputError, match=r"--layers: 6 there, 3 now"):
        write(path, settings=SETTINGS | {"layers": "3"})
    assert write(path) == [ROWS[2].key]  # they are still there


def test_overwrite_keeps_the_former_file_until_the_end(path):
    write(path, ROWS[:2])
    other = SETTINGS | {"layers": "3"}
    write(path, ROWS[2:3], other, overwrite=True, finish=False)
    check(path, ROWS[:2])
    assert write(path, ROWS[2:], other, overwrite=True) == [ROWS[3].key]  # goes on
    check(path, ROWS[2:], other)


def test_failure_of_the_last_step_breaks_nothing(path, monkeypatch):
    write(path, ROWS[:2])

    def no_room(*arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "replace_file", no_room)
        patch.setattr(sqlite, "_put_settings", no_room)  # within the transaction
        with pytest.raises(OSError, match="no space"):
            write(path)
    check(path, ROWS[:2])
    assert write(path) == []  # what was added stays added
    check(path)


def test_settings_are_as_they_turned_out(path):
    place = find_store(path)
    after = SETTINGS | {"about": {"device": "cuda"}}
    with place.opened(SETTINGS, False):
        place.add({row.key: embedding(row) for row in ROWS})
        place.finish(ROWS, after)
    check(path, settings=after)


def test_no_record_is_no_file(path):
    assert write(path, []) == []
    assert not list(path.parent.iterdir())
    write(path, ROWS[:2])
    write(path, [], overwrite=True)
    check(path, ROWS[:2])


def test_two_runs_at_once(path):
    place = find_store(path)
    with place.opened(SETTINGS, False), pytest.raises(InputError, match="another run"):
        write(path)


@pytest.mark.parametrize("content", [b"", b"no embeddings", bytes(5000)], ids=["empty", "text", "zeros"])
def test_files_of_others(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="no file of embeddings that lowmem-fold wrote"):
        find_store(path).present()
    write(path, overwrite=True)
    check(path)


@pytest.mark.parametrize("cut", [1, 70, 200], ids=str)
def test_torn_journal(tmp_path, cut):
    path = tmp_path / "out.h5"
    write(path, finish=False)
    journal = partial_folder(path) / "journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert write(path) == [ROWS[2].key]
    check(path)


def test_damaged_journal(tmp_path):
    path = tmp_path / "out.pt"
    write(path, finish=False)
    journal = partial_folder(path) / "journal"
    data = bytearray(journal.read_bytes())
    data[-300] ^= 1  # within the numbers of the second of three
    journal.write_bytes(data)
    assert len(write(path)) in (1, 2)
    check(path)


KILLED = """
import os, signal, sys
import numpy as np
from lowmem_fold.backbones.embedding import Embedding
from lowmem_fold.backbones.stores import find_store, read_embeddings
path = sys.argv[1]
with read_embeddings(path) as found:
    settings = found.settings
place = find_store(path)
with place.opened(settings, False):
    place._connection.execute("PRAGMA cache_size = 2")  # what is written goes to the file before the end
    place._connection.set_trace_callback(lambda said: said == "COMMIT" and os.kill(os.getpid(), signal.SIGKILL))
    place.add({f"{number:032}": Embedding(np.ones((500, 6), "f4"), np.ones(6, "f4")) for number in range(50)})
"""


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "out.sqlite"
    write(path, ROWS[:2])
    size = path.stat().st_size
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    assert path.stat().st_size > size and path.with_name("out.sqlite-journal").stat().st_size
    return path


@pytest.fixture
def killed(killed_once, tmp_path):
    """A database that a run was adding to when it was killed: the transaction is half in the file."""
    for name in ("out.sqlite", "out.sqlite-journal"):
        shutil.copy(killed_once.with_name(name), tmp_path / name)
    return tmp_path / "out.sqlite"


def test_kill_within_a_transaction_is_undone(killed):
    check(killed, ROWS[:2])
    assert write(killed) == [ROWS[2].key]
    check(killed)


def test_kill_within_a_transaction_before_overwriting(killed):
    other = SETTINGS | {"layers": "3"}
    write(killed, ROWS[2:], other, overwrite=True)
    assert [entry.name for entry in killed.parent.iterdir()] == [killed.name]
    check(killed, ROWS[2:], other)


def test_leftovers_of_a_file_that_is_gone(killed):
    killed.unlink()
    write(killed)
    assert [entry.name for entry in killed.parent.iterdir()] == [killed.name]
    check(killed)


def test_transaction_that_cannot_be_undone_is_told(killed, monkeypatch):
    connected = sqlite._connected
    monkeypatch.setattr(sqlite, "_connected", lambda path, mode: connected(path, "ro"))  # as where one may not write
    with pytest.raises(InputError, match="an interrupted run has left a transaction"):
        find_store(killed).present()


def test_file_that_is_written_to_is_told(tmp_path, monkeypatch):
    path = tmp_path / "out.sqlite"
    write(path)
    monkeypatch.setattr(sqlite, "_connected", lambda path, mode: sqlite3.connect(path, timeout=0))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match="another program is writing to it"):
            find_store(path).present()


# As the libraries see them


def test_hdf5_is_a_dataset_per_id(tmp_path):
    path = tmp_path / "out.h5"
    write(path, settings=SETTINGS | {"pool": []})
    with h5py.File(path) as file:
        assert set(file) == set(SEQUENCES)
        assert file["three"].shape == (5, 6) and file["three"].dtype == np.float32
        assert file["three"].attrs["length"] == 5
        assert file["one"] == file["copy"]  # one dataset of two names
        assert json.loads(file.attrs["settings"])["layers"] == "6"
    with h5py.File(path, track_order=True) as file:
        assert list(file) == list(SEQUENCES)


@pytest.mark.parametrize("pool", [[], ["mean"]], ids=["alone", "with-pool"])
def test_ids_of_any_kind(path, pool):
    ids = ["sp|P12345|AAA_HUMAN", "a", "a/b", "/c/", ".", "..", "7abc_A", "7abc_a", "%2", "prot\u00e9ine"]
    rows = [Row(id, sequence_key(id), 3) for id in ids]
    settings = SETTINGS | {"pool": pool}
    write(path, rows, settings)
    with read_embeddings(path) as found:
        assert list(found) == ids
        for row in rows:
            np.testing.assert_array_equal(found[row.id].residues, embedding(row, settings).residues)


def test_id_that_hdf5_would_give_back_as_another(tmp_path):
    place = find_store(tmp_path / "out.h5")
    with pytest.raises(InputError, match="'a%2Fb' would be another id in HDF5"):
        place.check([Row("a%2Fb", "0" * 32, 1)], 1)
    write(tmp_path / "out.h5", [Row("a/b", "0" * 32, 1)], SETTINGS | {"pool": []})
    with h5py.File(tmp_path / "out.h5") as file:
        assert list(file) == ["a%2Fb"]


def test_safetensors_lie_in_the_order_of_the_input(tmp_path):
    path = tmp_path / "out.safetensors"
    write(path)
    tensors = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(tensors["residues/two"], embedding(ROWS[2]).residues)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.offset_keys() == [f"{name}/{id}" for id in SEQUENCES for name in ("residues", "pooled")]


def test_pt_needs_torch_alone(tmp_path):
    path = tmp_path / "out.pt"
    write(path)
    found = torch.load(path, weights_only=True)
    assert list(found["pooled"]) == list(SEQUENCES)
    np.testing.assert_array_equal(found["residues"]["two"], embedding(ROWS[2]).residues)
    assert found["residues"]["one"].data_ptr() == found["residues"]["copy"].data_ptr()


def test_sqlite_view(tmp_path):
    path = tmp_path / "out.sqlite"
    write(path)
    with closing(sqlite3.connect(path)) as connection:
        assert [id for (id,) in connection.execute("SELECT id FROM embedded")] == list(SEQUENCES)
        data, shape = connection.execute("SELECT residues, residues_shape FROM embedded WHERE id = 'two'").fetchone()
        assert connection.execute("SELECT count(*) FROM embeddings").fetchone() == (3,)
    np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(json.loads(shape)), embedding(ROWS[2]).residues)


# Limits


def test_endings():
    assert {check_ending(f"a.b/c{ending}") for ending in ENDINGS} == {"hdf5", "sqlite", "tensors", "pickled"}
    assert check_ending("OUT.H5") == "hdf5"
    with pytest.raises(InputError, match=r"out\.csv: .*\.h5, .*\.pt"):
        check_ending("out.csv")
    with pytest.raises(InputError, match="there is no such file"):
        read_embeddings("none.h5")


def test_what_a_format_cannot_hold(tmp_path):
    with pytest.raises(InputError, match="in one value"):
        find_store(tmp_path / "out.db").check(ROWS, 250_000_001)
    find_store(tmp_path / "out.db").check(ROWS, 250_000_000)
    many = [Row("x" * 100, "0" * 32, 1)] * 200_000
    with pytest.raises(InputError, match="200000 records are too many"):
        find_store(tmp_path / "out.safetensors").check(many, 1)


@pytest.mark.parametrize("letter", ["x", "\u00e9", '"', "\U0001f9ec"], ids=["x", "accent", "quote", "helix"])
def test_header_of_safetensors_is_not_underestimated(tmp_path, monkeypatch, letter):
    path = tmp_path / "out.safetensors"
    rows = [Row(f"{letter * 96}{index:04}", f"{index:032}", 1) for index in range(1000)]
    write(path, rows)
    header = int.from_bytes(path.read_bytes()[:8], "little")
    monkeypatch.setattr(tensors, "_HEADER_BYTES", header)
    with pytest.raises(InputError, match="too many"):
        find_store(path).check(rows, 1)
