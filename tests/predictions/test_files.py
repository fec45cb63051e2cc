"""What is written is read back by biotite, and line by line where a reader would forgive too much."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import InputError, LowmemFoldError
from lowmem_fold.predictions.mmcif import cif_text
from lowmem_fold.predictions.pae import pae_json
from lowmem_fold.predictions.pdb import pdb_text
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.predictions.structures import read_pdb
from lowmem_fold.sequences.residues import ATOM_NAMES, RESIDUE_NAMES, existing_atoms
from lowmem_fold.system import files
from lowmem_fold.system.files import open_own, refuse_link, write_text_atomic

TS50 = Path(__file__).parents[2] / "benchmarks" / "data" / "ts50"
ALL_RESIDUES = "ARNDCQEGHILKMFPSTWYVX"


def make_prediction(*chains: str, id: str = "test", pae=None, **changes) -> Prediction:
    rng = np.random.default_rng(1)
    sequence = "".join(chains)
    length = len(sequence)
    fields = {
        "positions": rng.uniform(-99, 99, (length, 37, 3)).astype(np.float32),
        "atom_mask": existing_atoms(sequence),
        "plddt": rng.uniform(1, 100, length).astype(np.float32),
        "atom_plddt": rng.uniform(1, 100, (length, 37)).astype(np.float32),
        "ptm": 0.8765,
        "iptm": 0.4321 if len(chains) > 1 else None,
    }
    return Prediction(id, tuple(chains), pae=pae, **{**fields, **changes})


def read_pdb_text(text: str):
    from biotite.structure.io.pdb import PDBFile

    return PDBFile.read(io.StringIO(text)).get_structure(model=1, extra_fields=["b_factor", "occupancy", "atom_id"])


def read_cif_text(text: str):
    """The structure by its label names, and the block of categories."""
    from biotite.structure.io.pdbx import CIFFile, get_structure

    file = CIFFile.read(io.StringIO(text))
    fields = ["b_factor", "occupancy", "label_entity_id"]
    return get_structure(file, model=1, use_author_fields=False, extra_fields=fields), file.block


def column(block, category: str, name: str) -> list[str]:
    return block[category][name].as_array(str).tolist()


def rows(block, category: str, *names: str) -> list[tuple[str, ...]]:
    return list(zip(*(column(block, category, name) for name in names), strict=True))


def expected_atoms(prediction: Prediction) -> list[tuple]:
    """Chain, residue number, residue name and atom name of each atom, by plain loops."""
    atoms, row = [], 0
    for chain_id, chain in zip(prediction.chain_ids, prediction.chains, strict=True):
        for number, letter in enumerate(chain, 1):
            for atom, name in enumerate(ATOM_NAMES):
                if prediction.atom_mask[row, atom]:
                    atoms.append((chain_id, number, RESIDUE_NAMES[letter], name, row, atom))
            row += 1
    return atoms


@pytest.mark.parametrize("form", ["pdb", "cif"])
@pytest.mark.parametrize(
    "chains", [(ALL_RESIDUES,), (ALL_RESIDUES, "GG", ALL_RESIDUES), ("M",)], ids=["one", "three", "residue"]
)
def test_atoms_read_back(form, chains):
    prediction = make_prediction(*chains)
    array = read_pdb_text(pdb_text(prediction)) if form == "pdb" else read_cif_text(cif_text(prediction))[0]
    expected = expected_atoms(prediction)
    read = list(zip(array.chain_id, array.res_id, array.res_name, array.atom_name, strict=True))
    assert read == [atom[:4] for atom in expected]
    residue, atom = np.array([row[4:] for row in expected]).T
    np.testing.assert_allclose(array.coord, prediction.positions[residue, atom], atol=1e-3, rtol=0)
    np.testing.assert_allclose(array.b_factor, prediction.plddt[residue], atol=0.0051, rtol=0)
    assert np.all(array.occupancy == 1) and not array.hetero.any()
    assert array.element.tolist() == [name[0] for name in array.atom_name]


@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_a_real_structure_comes_back_as_it_was(form):
    # coordinates of an experiment, to three decimals in the file: neither centred nor scaled on the way
    chain = read_pdb(sorted(TS50.glob("*.pdb.gz"))[0])
    prediction = make_prediction(chain.sequence, positions=chain.positions, atom_mask=chain.atom_mask)
    array = read_pdb_text(pdb_text(prediction)) if form == "pdb" else read_cif_text(cif_text(prediction))[0]
    np.testing.assert_allclose(array.coord, chain.positions[chain.atom_mask], atol=2e-4, rtol=0)


@pytest.mark.parametrize("form", [pdb_text, cif_text], ids=["pdb", "cif"])
@pytest.mark.parametrize("name", ["positions", "plddt"])
def test_not_finite(form, name):
    prediction = make_prediction("MK")
    getattr(prediction, name).flat[0] = np.nan
    with pytest.raises(LowmemFoldError, match=r"test: .* not finite"):
        form(prediction)


@pytest.mark.parametrize("form", [pdb_text, cif_text], ids=["pdb", "cif"])
def test_no_atoms(form):
    with pytest.raises(LowmemFoldError, match="test: no atom"):
        form(make_prediction("MK", atom_mask=np.zeros((2, 37), bool)))


# PDB


def test_pdb_lines():
    lines = pdb_text(make_prediction("GXA", "G")).split("\n")
    assert lines.pop() == "" and {len(line) for line in lines} == {80}
    kinds = [line[:6].strip() for line in lines]
    assert kinds == ["ATOM"] * (4 + 4 + 5) + ["TER"] + ["ATOM"] * 4 + ["TER", "END"]
    assert [int(line[6:11]) for line in lines[:-1]] == list(range(1, len(lines)))
    assert lines[13].rstrip() == "TER      14      ALA A   3"
    assert lines[18].rstrip() == "TER      19      GLY B   1"


def test_pdb_columns():
    # wwPDB format 3.3: name 13-16 (one-letter elements from 14 on), residue 18-20, chain 22, number 23-26, x y z 31-54,
    # occupancy 55-60, B 61-66, element 77-78
    prediction = make_prediction("A" * 9 + "X", plddt=np.full(10, 100, np.float32))
    prediction.positions[9, 1] = 1234.5, -999.999, 0.0004
    line = pdb_text(prediction).split("\n")[9 * 5 + 1]
    expected = "ATOM     47  CA  UNK A  10    1234.500-999.999   0.000  1.00100.00           C"
    assert line.rstrip() == expected


def test_pdb_chain_ids():
    prediction = make_prediction(*["G"] * 62)
    array = read_pdb_text(pdb_text(prediction))
    assert len(set(array.chain_id)) == 62
    assert "".join(array.chain_id[::4]) == "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("chains", "words"),
    [
        (("G",) * 63, "63 chains, PDB names 62"),
        (("G", "G" * 10_000), "10,000 residues, PDB numbers 9,999"),
        (("G" * 9_000,) * 3, "108,003 atoms and chain ends, PDB numbers 99,999"),
    ],
    ids=["chains", "residues", "atoms"],
)
def test_what_pdb_cannot_hold_mmcif_can(chains, words):
    prediction = make_prediction(*chains)
    with pytest.raises(InputError, match=f"test: .*{words}.*--format cif"):
        pdb_text(prediction)
    if len(chains[-1]) == 1:  # the long ones would take seconds to read back
        array, _ = read_cif_text(cif_text(prediction))
        assert len(array) == 4 * 63 and array.chain_id[-1] == "AA"


def first_atoms(count: int) -> Prediction:
    """The first atoms of 25,000 glycines in three chains."""
    mask = existing_atoms("G" * 25_000)
    mask[tuple(np.argwhere(mask)[count:].T)] = False
    return make_prediction("G" * 9_999, "G" * 9_999, "G" * 5_002, atom_mask=mask)


def test_pdb_at_its_limits():
    lines = pdb_text(first_atoms(99_996)).split("\n")
    assert lines[9_999 * 4].rstrip() == "TER   39997      GLY A9999"
    assert lines[-3].rstrip() == "TER   99999      GLY C5001"
    with pytest.raises(InputError, match="100,000 atoms and chain ends"):
        pdb_text(first_atoms(99_997))


@pytest.mark.parametrize("value", [9999.9996, -999.9996, 12345.6])
def test_coordinates_beyond_the_columns(value):
    prediction = make_prediction("MK")
    prediction.positions[1, 1, 2] = value
    with pytest.raises(InputError, match=r"test: a coordinate of .*--format cif"):
        pdb_text(prediction)
    array, _ = read_cif_text(cif_text(prediction))
    assert np.abs(array.coord).max() == pytest.approx(abs(value), abs=1e-3)


# mmCIF


def test_label_and_author_names_agree():
    _, block = read_cif_text(cif_text(make_prediction("MKX", "AG")))
    for part in ("asym_id", "seq_id", "comp_id", "atom_id"):
        assert column(block, "atom_site", f"label_{part}") == column(block, "atom_site", f"auth_{part}")
    assert set(column(block, "atom_site", "pdbx_PDB_model_num")) == {"1"}


def test_identical_chains_share_an_entity():
    text = cif_text(make_prediction("MKX", "AG", "MKX"))
    array, block = read_cif_text(text)
    assert rows(block, "struct_asym", "id", "entity_id") == [("A", "1"), ("B", "2"), ("C", "1")]
    assert rows(block, "entity", "id", "type", "pdbx_number_of_molecules") == [
        ("1", "polymer", "2"),
        ("2", "polymer", "1"),
    ]
    assert rows(
        block, "entity_poly", "entity_id", "type", "pdbx_strand_id", "pdbx_seq_one_letter_code_can", "nstd_monomer"
    ) == [("1", "polypeptide(L)", "A,C", "MKX", "yes"), ("2", "polypeptide(L)", "B", "AG", "no")]
    assert column(block, "entity_poly", "pdbx_seq_one_letter_code") == ["MK(UNK)", "AG"]
    assert rows(block, "entity_poly_seq", "entity_id", "num", "mon_id") == [
        ("1", "1", "MET"),
        ("1", "2", "LYS"),
        ("1", "3", "UNK"),
        ("2", "1", "ALA"),
        ("2", "2", "GLY"),
    ]
    of_chain = {chain: set(array.label_entity_id[array.chain_id == chain]) for chain in "ABC"}
    assert of_chain == {"A": {"1"}, "B": {"2"}, "C": {"1"}}


def test_sequence_of_an_entity_is_that_of_its_first_chain():
    _, block = read_cif_text(cif_text(make_prediction("AG", "AG", "MKX")))
    assert column(block, "entity_poly_seq", "mon_id") == ["ALA", "GLY", "MET", "LYS", "UNK"]
    assert column(block, "entity_poly_seq", "num") == ["1", "2", "1", "2", "3"]
    assert column(block, "entity_poly_seq", "entity_id") == ["1", "1", "2", "2", "2"]


def test_long_sequences_are_wrapped_and_read_back():
    chain = "MKTAYIAKQRX" * 40
    text = cif_text(make_prediction(chain, "AG", chain + "W"))
    _, block = read_cif_text(text)
    read = [value.replace("\n", "") for value in column(block, "entity_poly", "pdbx_seq_one_letter_code_can")]
    assert read == [chain, "AG", chain + "W"]
    assert max(map(len, text.split("\n"))) < 2048  # the limit of CIF 1.1


def test_plddt_as_viewers_look_for_it():
    # Mol* colours where a metric named pLDDT of mode local exists, its values found by model, chain and residue number
    prediction = make_prediction("MKX", "AG")
    _, block = read_cif_text(cif_text(prediction))
    metrics = {row[0]: row[1:] for row in rows(block, "ma_qa_metric", "id", "name", "type", "mode")}
    assert metrics == {
        "1": ("pLDDT", "pLDDT", "global"),
        "2": ("pLDDT", "pLDDT", "local"),
        "3": ("pTM", "pTM", "global"),
        "4": ("ipTM", "ipTM", "global"),
    }
    category = "ma_qa_metric_local"
    local = rows(
        block, category, "ordinal_id", "model_id", "metric_id", "label_asym_id", "label_seq_id", "label_comp_id"
    )
    assert local == [
        ("1", "1", "2", "A", "1", "MET"),
        ("2", "1", "2", "A", "2", "LYS"),
        ("3", "1", "2", "A", "3", "UNK"),
        ("4", "1", "2", "B", "1", "ALA"),
        ("5", "1", "2", "B", "2", "GLY"),
    ]
    values = [float(value) for value in column(block, category, "metric_value")]
    np.testing.assert_allclose(values, prediction.plddt, atol=0.0051, rtol=0)
    whole = {metric: float(value) for metric, value in rows(block, "ma_qa_metric_global", "metric_id", "metric_value")}
    assert whole == {"1": pytest.approx(prediction.plddt.mean(), abs=0.0051), "3": 0.8765, "4": 0.4321}


def test_metrics_that_there_are_none_of():
    _, block = read_cif_text(cif_text(make_prediction("MK", ptm=float("nan"))))
    assert column(block, "ma_qa_metric", "id") == ["1", "2"]
    assert column(block, "ma_qa_metric_global", "metric_id") == ["1"]


PARENTS = [
    ("atom_site.label_asym_id", "struct_asym.id"),
    ("atom_site.label_entity_id", "entity.id"),
    ("atom_site.label_comp_id", "chem_comp.id"),
    ("atom_site.type_symbol", "atom_type.symbol"),
    ("entity_poly_seq.mon_id", "chem_comp.id"),
    ("struct_asym.entity_id", "entity.id"),
    ("struct.entry_id", "entry.id"),
    ("pdbx_poly_seq_scheme.asym_id", "struct_asym.id"),
    ("ma_target_entity.entity_id", "entity.id"),
    ("ma_target_entity.data_id", "ma_data.id"),
    ("ma_target_entity_instance.asym_id", "struct_asym.id"),
    ("ma_target_entity_instance.entity_id", "ma_target_entity.entity_id"),
    ("ma_data_group.data_id", "ma_data.id"),
    ("ma_protocol_step.input_data_group_id", "ma_data_group.group_id"),
    ("ma_protocol_step.output_data_group_id", "ma_data_group.group_id"),
    ("ma_protocol_step.software_group_id", "ma_software_group.group_id"),
    ("ma_software_group.software_id", "software.pdbx_ordinal"),
    ("ma_model_list.data_id", "ma_data.id"),
    ("ma_model_group_link.group_id", "ma_model_group.id"),
    ("ma_model_group_link.model_id", "ma_model_list.ordinal_id"),
    ("ma_qa_metric.software_group_id", "ma_software_group.group_id"),
    ("ma_qa_metric_global.metric_id", "ma_qa_metric.id"),
    ("ma_qa_metric_global.model_id", "ma_model_list.ordinal_id"),
    ("ma_qa_metric_local.metric_id", "ma_qa_metric.id"),
    ("ma_qa_metric_local.model_id", "ma_model_list.ordinal_id"),
    ("ma_qa_metric_local.label_asym_id", "struct_asym.id"),
    ("ma_qa_metric_local.label_comp_id", "chem_comp.id"),
]


@pytest.fixture(scope="module")
def block():
    return read_cif_text(cif_text(make_prediction(ALL_RESIDUES, "GG", ALL_RESIDUES)))[1]


def test_scores_have_the_digits_of_their_scale():
    """pLDDT, of 0 to 100, has two; pTM and ipTM, of 0 to 1, have four."""
    prediction = make_prediction("GG", "AA", ptm=0.12345, iptm=0.98765)
    _, block = read_cif_text(cif_text(prediction))
    names = dict(rows(block, "ma_qa_metric", "id", "name"))
    found = {names[id]: value for id, value in rows(block, "ma_qa_metric_global", "metric_id", "metric_value")}
    assert found == {"pLDDT": f"{prediction.mean_plddt:.2f}", "pTM": "0.1235", "ipTM": "0.9877"}


def test_the_twenty_are_standard_and_the_unknown_residue_is_not(block):
    standard = dict(rows(block, "chem_comp", "id", "mon_nstd_flag"))
    assert standard.pop("UNK") == "n"
    assert len(standard) == 20 and set(standard.values()) == {"y"}


@pytest.mark.parametrize(("child", "parent"), PARENTS, ids=[child for child, _ in PARENTS])
def test_every_reference_is_defined(block, child, parent):
    # the links between parents and children in the dictionary (mmcif_ma.dic, 1.4.9)
    assert set(column(block, *child.split("."))) <= set(column(block, *parent.split(".")))


def test_keys_are_unique(block):
    # but for the group of data sets, the first column of each table is its key, or part of one
    for category, *key in [
        ("atom_site", "id"),
        ("chem_comp", "id"),
        ("entity", "id"),
        ("entity_poly_seq", "entity_id", "num", "mon_id"),
        ("ma_data", "id"),
        ("ma_qa_metric_local", "ordinal_id"),
        ("ma_qa_metric_local", "label_asym_id", "label_seq_id", "metric_id"),
        ("pdbx_poly_seq_scheme", "asym_id", "seq_id"),
    ]:
        assert set(Counter(rows(block, category, *key)).values()) == {1}, category


def test_the_model_is_a_data_set_of_coordinates(block):
    kinds = dict(rows(block, "ma_data", "id", "content_type"))
    (model,) = column(block, "ma_model_list", "data_id")
    assert kinds[model] == "model coordinates"
    assert {kinds[data] for data in column(block, "ma_target_entity", "data_id")} == {"target"}


@pytest.mark.parametrize(
    ("id", "entry"),
    [
        ("data_1", "'_data_1'"),
        ("Loop_", "'_Loop_'"),
        ("SAVE_me", "'_SAVE_me'"),
        ("_x", "'_x'"),
        ("loop_1", "loop_1"),
        ("sp_P12345_X", "sp_P12345_X"),
        ("1.2+3=4-5", "1.2+3=4-5"),
    ],
)
def test_ids_that_are_words_of_the_syntax(id, entry):
    # unquoted, a value that begins with data_ would start another block
    text = cif_text(make_prediction("MK", id=id))
    assert [line.split()[1] for line in text.split("\n") if line.startswith("_entry.id")] == [entry]
    array, block = read_cif_text(text)
    assert len(array) == 8 + 9
    assert column(block, "struct", "title") == [f"Predicted structure of {id}"]


# PAE


def test_pae_as_the_database_writes_it():
    values = np.array([[0.2, 1.5, 30.6], [2.5, 0.49, 31.75], [4.0, 3.51, 0.0]], np.float32)
    text = pae_json(make_prediction("MKT", pae=values))
    (content,) = json.loads(text)
    assert content == {
        "predicted_aligned_error": [[0, 2, 31], [2, 0, 32], [4, 4, 0]],
        "max_predicted_aligned_error": 31.75,
    }
    assert text.startswith('[{"predicted_aligned_error":[[0,2,31],[') and text.endswith("31.75}]\n")


def test_pae_of_a_real_size_loses_half_an_angstrom_at_most():
    values = np.random.default_rng(0).uniform(0, 31.75, (200, 200)).astype(np.float32)
    (content,) = json.loads(pae_json(make_prediction("A" * 200, pae=values)))
    assert np.abs(np.array(content["predicted_aligned_error"]) - values).max() <= 0.5


def test_pae_that_is_not_finite():
    values = np.array([[0.6, np.nan], [np.inf, 2.0]], np.float32)
    (content,) = json.loads(pae_json(make_prediction("MK", pae=values)))
    assert content["predicted_aligned_error"] == [[1, None], [None, 2]]


def test_no_pae():
    with pytest.raises(InputError, match="test: there is no PAE"):
        pae_json(make_prediction("MK"))


# Files


def test_write_and_replace(tmp_path):
    path = tmp_path / "a.txt"
    assert write_text_atomic(path, "old\n") == path
    write_text_atomic(str(path), "new Å\n")
    assert path.read_bytes() == b"new \xc3\x85\n"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")
    seen = []

    def fail(descriptor):
        seen.append((path.read_text(), len(list(tmp_path.iterdir()))))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_text_atomic(path, "new")
    assert seen == [("old", 2)]
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_temporary_name_cannot_be_guessed_and_link_is_replaced(tmp_path, monkeypatch):
    mine, path = tmp_path / "mine", tmp_path / "a.txt"
    mine.write_text("precious")
    path.symlink_to(mine)
    seen = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda place, flags, mode: (seen.append((place, flags)), real(place, flags, mode))[1]
    )
    for _ in range(2):
        write_text_atomic(path, "new")
    monkeypatch.undo()
    (one, _), (other, _) = seen
    assert one != other and str(os.getpid()) not in one.name.removeprefix(".a.txt.")[:-20]
    assert all(flags & os.O_EXCL and flags & os.O_CREAT for _, flags in seen)
    assert mine.read_text() == "precious" and path.read_text() == "new" and not path.is_symlink()


def test_link_put_in_between_is_refused(tmp_path, monkeypatch):
    """After the first look; the open itself does not follow it, where the system can do that."""
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    looks = []
    real = files.refuse_link
    monkeypatch.setattr(files, "refuse_link", lambda path: (looks.append(path), len(looks) > 1 and real(path))[1])
    with pytest.raises(InputError, match="link: is a link"):
        open_own(tmp_path / "link", os.O_WRONLY | os.O_TRUNC)
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_what_is_not_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(InputError, match=f"{name}: is not a file"):
            open_own(tmp_path / name, os.O_WRONLY)
    refuse_link(tmp_path / "folder", folder=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: is not a folder"):
        refuse_link(tmp_path / "file", folder=True)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_others_may_read_as_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    path = write_text_atomic(tmp_path / "a.txt", "")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
