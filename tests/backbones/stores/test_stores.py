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

from lowmem_fold.backbones.stores import (
    ENDINGS,
    check_ending,
    database,
    find_store,
    read_embeddings,
    sqlite,
    store,
    tensors,
)
from lowmem_fold.backbones.stores.head import Row
from lowmem_fold.backbones.stores.settings import refuse_mixture
from lowmem_fold.backbones.stores.store import partial_folder, sequence_key
from lowmem_fold.backbones.vectors import Embedding
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
        if path.suffix == ".sqlite":
            patch.setattr(database, "_put_head", no_room)  # within the transaction
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
    with pytest.raises(InputError, match="not a file of embeddings that lowmem-fold wrote"):
        find_store(path).present()
    write(path, overwrite=True)
    check(path)


# What is damaged


def flipped(data: bytes, place: int) -> bytes:
    """One bit, in any of a byte's places; for each fourth byte as many zeros as a sector of a disk."""
    changed = bytearray(data)
    if place % 4:
        changed[place] ^= 1 << place % 8
    else:
        changed[place : place + 512] = bytes(len(changed[place : place + 512]))
    return bytes(changed)


def test_damage_gives_no_other_numbers(path):
    """Wherever it is: each embedding is as it was, or refused by the name of the file."""
    write(path)
    data = path.read_bytes()
    refused = 0
    for place in range(3, len(data), max(1, len(data) // 150)):
        path.write_bytes(flipped(data, place))
        try:
            with read_embeddings(path) as found:
                assert (list(found.rows.values()), found.settings) == (ROWS, SETTINGS)
                for row in ROWS:
                    try:
                        arrays = found[row.id].arrays
                    except InputError as error:
                        refused += 1
                        assert str(path) in str(error) and row.id in str(error)
                    else:
                        for name, array in embedding(row).arrays.items():
                            np.testing.assert_array_equal(arrays[name], array)
        except InputError as error:
            refused += 1
            assert str(path) in str(error)
        for companion in path.parent.glob(f"{path.name}-*"):
            companion.unlink()
    assert refused > 5


def damage(path, row, name="pooled"):
    """Change a bit of a number of a record."""
    data = bytearray(path.read_bytes())
    place = data.find(embedding(row).arrays[name].tobytes())
    assert place > 0
    data[place + 1] ^= 4
    path.write_bytes(data)


def test_damaged_record_is_named_and_made_anew(path):
    write(path)
    damage(path, ROWS[1])
    with read_embeddings(path) as found:
        np.testing.assert_array_equal(found["one"].pooled, embedding(ROWS[0]).pooled)
        assert found.is_sound("one") and not found.is_sound("three")
        with pytest.raises(InputError, match=r"out\..*: the embedding of 'three' is damaged \(another checksum.*again"):
            found["three"]
    assert write(path) == [ROWS[1].key]
    check(path)


def test_damaged_record_of_another_input_is_left_out(path):
    write(path)
    damage(path, ROWS[1])
    place = find_store(path)
    with place.opened(SETTINGS, False):
        if path.suffix == ".sqlite":  # where nothing else is read than what is looked for
            assert ROWS[1].key not in place
        place.finish(ROWS[:1], SETTINGS)
    assert place.lost == [ROWS[1]]
    check(path, [ROWS[0], ROWS[2], ROWS[3]])
    assert write(path, [ROWS[1]]) == [ROWS[1].key]


def partial_database(path):
    return next(file for file in partial_folder(path).iterdir() if file.suffix == ".sqlite")


def test_damaged_record_of_an_interrupted_run_is_made_anew(path):
    write(path, finish=False)
    damage(partial_database(path), ROWS[2])
    assert write(path) == [ROWS[2].key]
    check(path)


def test_interrupted_run_that_cannot_be_read(path):
    write(path, finish=False)
    partial_database(path).write_bytes(b"no embeddings" * 1000)
    with pytest.raises(InputError, match=r"embeddings\.sqlite|whole\.sqlite: it is damaged, .*--overwrite"):
        write(path)
    assert len(write(path, overwrite=True)) == 3
    check(path)


@pytest.mark.parametrize("statement", ["DELETE FROM embeddings", "DROP TABLE embeddings"], ids=["rows", "table"])
def test_records_without_embeddings(tmp_path, statement):
    path = tmp_path / "out.sqlite"
    write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with read_embeddings(path) as found, pytest.raises(InputError, match="the embedding of 'one' is damaged"):
        found["one"]
    assert len(write(path)) == 3
    check(path)


def changed_head(path, change):
    """Write a file again with what `change` makes of its head, a dict: by the format's own library."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            head = change(dict(file.attrs))
            for name in list(file.attrs):
                del file.attrs[name]
            file.attrs.update(head)
    elif path.suffix == ".pt":
        torch.save(change(torch.load(path, weights_only=True)), path)
    elif path.suffix == ".safetensors":
        with safetensors.safe_open(path, "numpy") as file:
            head = change(file.metadata())
            arrays = {name: file.get_tensor(name) for name in file.offset_keys()}
        safetensors.numpy.save_file(arrays, path, {name: str(value) for name, value in head.items()})
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            head = change(dict(connection.execute("SELECT name, value FROM settings")))
            connection.execute("DELETE FROM settings")
            connection.executemany("INSERT INTO settings VALUES (?, ?)", head.items())


HEADS = {
    "settings-lost": lambda head: {name: value for name, value in head.items() if name not in ("settings", "residues")},
    "settings-kind": lambda head: head | {"settings": "[1, 2]", "about": "7"},
    "settings-cut": lambda head: head | {"settings": '{"pool": ', "pool": '["me'},
    "rows": lambda head: head | {"rows": '[["one"]]', "checksum": "0"},
    "checksum-lost": lambda head: {name: value for name, value in head.items() if name != "checksum"},
    "schema": lambda head: head | {"lowmem_fold": 3, "schema": "3"},
    "deep": lambda head: head | {"settings": "[" * 100_000, "about": "[" * 100_000},
}


@pytest.mark.parametrize("case", HEADS)
def test_damaged_head_is_refused(path, case):
    write(path)
    changed_head(path, HEADS[case])
    with pytest.raises(InputError, match="lowmem-fold wrote, or it is damaged") as caught:
        read_embeddings(path)
    assert str(path) in str(caught.value)


def as_schema_1(path, rows=ROWS, settings=SETTINGS):
    """Write a file as it was before there were checksums."""
    arrays = {row.id: embedding(row, settings).arrays for row in rows}
    listed = [(row.id, row.key, row.length) for row in rows]
    path.parent.mkdir()
    if path.suffix == ".h5":
        with h5py.File(path, "w", track_order=True) as file:
            file.attrs["lowmem_fold"], file.attrs["settings"] = 1, json.dumps(settings)
            for name in ("residues", "pooled"):
                group = file.create_group(name, track_order=True)
                for row in rows:
                    dataset = group.create_dataset(row.id.replace("/", "%2F"), data=arrays[row.id][name])
                    dataset.attrs["key"], dataset.attrs["length"] = row.key, row.length
    elif path.suffix == ".pt":
        found = {
            name: {id: torch.from_numpy(each[name]) for id, each in arrays.items()} for name in ("residues", "pooled")
        }
        torch.save({"lowmem_fold": 1, "settings": settings, "rows": listed, **found}, path)
    elif path.suffix == ".safetensors":
        tensors = {f"{name}/{id}": array for id, each in arrays.items() for name, array in each.items()}
        head = {"lowmem_fold": "1", "settings": json.dumps(settings), "rows": json.dumps(listed)}
        safetensors.numpy.save_file(tensors, path, head)
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(database._TABLES.replace("checksum INTEGER, ", ""))
            said = {"schema": 1, **settings}
            connection.executemany(
                "INSERT INTO settings VALUES (?, ?)", [(name, json.dumps(value)) for name, value in said.items()]
            )
            for position, (id, key, length) in enumerate(listed):
                values = [
                    each for array in arrays[id].values() for each in (array.tobytes(), json.dumps(list(array.shape)))
                ]
                connection.execute("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?)", (key, *values))
                connection.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (position, id, key, length))


def test_files_without_checksums_are_read_and_added_to(path):
    rows = [*ROWS[:2], Row("a/%25", sequence_key("WW"), 2)]
    as_schema_1(path, rows)
    check(path, rows)
    assert write(path, [*rows, ROWS[2]]) == [ROWS[2].key]
    check(path, [*rows, ROWS[2]])
    with read_embeddings(path) as found:
        assert found.schema == 2
    damage(path, ROWS[1])  # from here on it is seen
    with read_embeddings(path) as found:
        assert not found.is_sound("three")


def test_results_of_an_interrupted_run_outlast_another_input(path):
    write(path, ROWS[:2], finish=False)
    assert write(path, [ROWS[2]]) == [ROWS[2].key]
    check(path, [ROWS[2]])
    place = find_store(path)
    with place.opened(SETTINGS, False):
        place.finish([], SETTINGS)
    assert place.kept == 2
    assert write(path) == []
    check(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_results_of_an_interrupted_run_outlast_a_run_without_any(path):
    write(path, ROWS[:2], finish=False)
    assert write(path, []) == []
    assert not path.exists()
    assert write(path, ROWS[:2]) == []
    check(path, ROWS[:2])


@pytest.mark.parametrize("ending", [".h5", ".safetensors", ".pt"])
def test_embedding_larger_than_a_value_of_the_database(tmp_path, monkeypatch, ending):
    path = tmp_path / f"out{ending}"
    monkeypatch.setattr(store, "_PART_BYTES", 50)  # of 120
    write(path, finish=False)
    with closing(sqlite3.connect(partial_database(path))) as connection:
        assert connection.execute("SELECT count(*) FROM embeddings").fetchone() == (2 + 3 + 1,)
        connection.execute(
            "UPDATE embeddings SET residues = zeroblob(48) WHERE key LIKE '%/1' AND key LIKE ?", (ROWS[1].key + "%",)
        )
        connection.commit()
    assert write(path) == [ROWS[1].key]
    check(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_closed_file_is_not_called_damaged(path):
    write(path)
    with read_embeddings(path) as found:
        pass
    with pytest.raises(InputError, match="is closed"):
        found["one"]


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
    connection = place._database._connection
    connection.execute("PRAGMA cache_size = 2")  # what is written goes to the file before the end
    connection.set_trace_callback(lambda said: said == "COMMIT" and os.kill(os.getpid(), signal.SIGKILL))
    place.add({f"{number:032}": Embedding(np.ones((500, 6), "f4"), np.ones(6, "f4")) for number in range(50)})
    place._database.commit()
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
    connect = sqlite.connect
    monkeypatch.setattr(database, "connect", lambda path, mode: connect(path, "ro"))  # as where one may not write
    with pytest.raises(InputError, match="an interrupted run has left a transaction"):
        find_store(killed).present()


def test_file_that_is_written_to_is_told(tmp_path, monkeypatch):
    path = tmp_path / "out.sqlite"
    write(path)
    monkeypatch.setattr(sqlite, "connect", lambda path, mode: sqlite3.connect(path, timeout=0))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match="another program is writing to it"):
            find_store(path).present()
    with read_embeddings(path) as found, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match="another program is writing to it"):  # it is not damaged
            found["one"]


# As the libraries see them


def test_hdf5_is_a_dataset_per_id(tmp_path):
    path = tmp_path / "out.h5"
    write(path, settings=SETTINGS | {"pool": []})
    with h5py.File(path) as file:
        assert set(file) == set(SEQUENCES)
        assert file["three"].shape == (5, 6) and file["three"].dtype == np.float32
        assert file["three"].attrs["length"] == 5
        assert file["one"] == file["copy"]  # one dataset of two names
        assert file.attrs["lowmem_fold"] == 2
        assert json.loads(file.attrs["settings"])["layers"] == "6"
    with h5py.File(path, track_order=True) as file:
        assert list(file) == list(SEQUENCES)


NASTY = [
    *("sp|P12345|AAA_HUMAN", "a", "a/b", "/c/", "7abc_A", "7abc_a", "prot\u00e9ine", "prote\u0301ine", "\U0001f9ec"),
    *(".", "..", "./a", "%2", "a%2Fb", "%2E", "%25", "a\0b", "a\0", "a ", " a", "a\n", "x" * 100_000),
    *("__metadata__", "__metadata___", "__metadata__/a", "settings", "rows", "residues", "pooled", "residues/a"),
    *("lowmem_fold", "checksum", "1e5", "NULL", "' OR 1=1 --"),
]


@pytest.mark.parametrize("wants", [{"pool": []}, {"residues": False}, {}], ids=["residues", "pooled", "both"])
def test_ids_of_any_kind(path, wants):
    """None overwrites another, or what the format keeps for itself, and each is read as it was."""
    rows = [Row(id, sequence_key(id), 3) for id in NASTY]
    write(path, rows, SETTINGS | wants)
    check(path, rows, SETTINGS | wants)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([ROWS[0], Row("one", "0" * 32, 1)], "two records have the id 'one'"),
        ([Row("a\ud800", "0" * 32, 1)], "'a\\\\ud800'"),
        ([Row("", "0" * 32, 1)], "''"),
    ],
    ids=["twice", "surrogate", "empty"],
)
def test_ids_that_no_file_can_hold(path, rows, named):
    with pytest.raises(InputError, match=named):
        find_store(path).check(rows, 1)


def test_names_in_hdf5(tmp_path):
    path = tmp_path / "out.h5"
    write(path, [Row(id, sequence_key(id), 1) for id in ("a/b", "a%2Fb", ".")], SETTINGS | {"pool": []})
    with h5py.File(path) as file:
        assert set(file) == {"a%2Fb", "a%252Fb", "%2E"}


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
