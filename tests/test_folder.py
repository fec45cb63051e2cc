"""From a sequence to a prediction, with a small model of random weights in a folder."""

from __future__ import annotations

import json
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.esm.openfold_utils import atom14_to_atom37, make_atom14_masks

import lowmem_fold as lf
from lowmem_fold import loading
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold import trunk as trunk_module
from lowmem_fold.esmfold.engine import fold_batch
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.esmfold.features import tokenize
from lowmem_fold.folder import Folder
from lowmem_fold.pair.storage import PairStorage
from lowmem_fold.sequences.fasta import parse_sequence
from tests.models import small_model

CHAINS = ("MKTAYIAKQR", "GSHMLEWWPPY")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    random_model(small_config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(model_folder: Path) -> Folder:
    return lf.load(str(model_folder), device="cpu")


def test_a_line_and_a_table_of_a_model(folder: Folder) -> None:
    name = folder.checkpoint.name
    assert repr(folder) == f"<Folder {name}: fp32 on cpu, resident>"
    shown = folder._repr_html_()
    total = folder.describe()["weights"]["total"]["weights"]
    assert f"<td>{total:,}</td>" in shown and "<td>resident</td>" in shown and str(folder.checkpoint.path) in shown


def stock_output(sequence: str) -> dict:
    tokens = tokenize(parse_sequence(sequence).chains)
    given = (torch.from_numpy(array)[None] for array in (tokens.aatype, tokens.residue_index))
    with torch.no_grad():
        return small_model()(next(given), position_ids=next(given), num_recycles=1)


def test_one_chain_equals_stock(folder: Folder) -> None:
    sequence = "".join(CHAINS)
    prediction, stock = folder.fold(sequence, num_recycles=1), stock_output(sequence)
    masks = make_atom14_masks({"aatype": stock["aatype"][0]})
    atom37 = atom14_to_atom37(stock["positions"][-1, 0], masks)
    assert np.array_equal(prediction.atom_mask, masks["atom37_atom_exists"].bool().numpy())
    assert np.abs(prediction.positions - atom37.numpy()).max() < 1e-4 * np.abs(atom37.numpy()).max()
    assert prediction.plddt == pytest.approx(100 * stock["plddt"][0, :, 1].numpy(), rel=1e-4)
    assert prediction.ptm == pytest.approx(stock["ptm"].item(), rel=1e-4)
    assert prediction.pae == pytest.approx(stock["predicted_aligned_error"][0].numpy(), rel=1e-4)
    assert prediction.max_pae == pytest.approx(stock["max_predicted_aligned_error"].item())
    assert (prediction.num_passes, prediction.iptm) == (2, None)


def test_distogram_and_phases_where_asked_for(folder: Folder) -> None:
    begun: list[str] = []
    prediction = folder.fold(":".join(CHAINS), num_recycles=1, distogram=True, phase=begun.append)
    expected = stock_output(":".join(CHAINS))["distogram_logits"][0].numpy()
    real = np.r_[0:10, 35:46]  # 25 residues of linker in between
    assert prediction.distogram_logits == pytest.approx(expected[np.ix_(real, real)], rel=1e-4, abs=1e-4)
    assert begun == ["stem", "trunk", "structure", "trunk", "structure", "heads"]
    states, begun = folder.stem_states([CHAINS[0]]), []
    assert folder.fold(CHAINS[0], states=states[0], num_recycles=0, phase=begun.append).distogram_logits is None
    assert begun == ["trunk", "structure", "heads"]


def test_linker_is_in_no_output(folder: Folder) -> None:
    prediction, stock = folder.fold(":".join(CHAINS), num_recycles=1), stock_output(":".join(CHAINS))
    real = np.r_[0:10, 35:46]  # 25 residues of linker in between
    assert prediction.length == 21 and prediction.chains == CHAINS
    assert prediction.pae == pytest.approx(stock["predicted_aligned_error"][0].numpy()[np.ix_(real, real)], rel=1e-4)
    assert prediction.plddt == pytest.approx(100 * stock["plddt"][0, real, 1].numpy(), rel=1e-4)
    ca = stock["positions"][-1, 0, real, 1].numpy()
    assert np.abs(prediction.positions[:, 1] - ca).max() < 1e-4 * np.abs(ca).max()


def test_ptm_counts_real_residues_only(folder: Folder) -> None:
    """From stock's own probabilities, cut to the real residues, by the formula of the AlphaFold 2 supplement."""
    prediction, stock = folder.fold(":".join(CHAINS), num_recycles=1), stock_output(":".join(CHAINS))
    real = np.r_[0:10, 35:46]
    probabilities = stock["aligned_confidence_probs"][0].double().numpy()[np.ix_(real, real)]
    centers = 31 / 62 * (np.arange(64) + 0.5)
    d0 = 1.24 * (21 - 15) ** (1 / 3) - 1.8
    terms = (probabilities / (1 + (centers / d0) ** 2)).sum(-1)
    assert prediction.ptm == pytest.approx(terms.mean(axis=1).max(), rel=1e-5)
    across = max(terms[:10, 10:].mean(axis=1).max(), terms[10:, :10].mean(axis=1).max())
    assert prediction.iptm == pytest.approx(across, rel=1e-5)
    assert prediction.chain_pair_iptm[0, 1] == pytest.approx(across, rel=1e-5)


def test_unknown_residue_has_a_backbone(folder: Folder) -> None:
    """At the bond lengths of a backbone, where stock leaves the atoms at the origin."""
    prediction = folder.fold("MKTAXIAKQR", num_recycles=0)
    n, ca, c, o = prediction.positions[4, [0, 1, 2, 4]]
    assert prediction.atom_mask[4].nonzero()[0].tolist() == [0, 1, 2, 4]
    for a, b, bond in ((n, ca, 1.46), (ca, c, 1.52), (c, o, 1.23)):
        assert np.linalg.norm(a - b) == pytest.approx(bond, abs=0.03)
    assert not prediction.positions[4, 3].any()
    assert not prediction.positions[~prediction.atom_mask].any()


def test_batch_equals_one_at_a_time(folder: Folder) -> None:
    sequences = ["MKTAYIAKQR", "GG:WWW", "A"]
    batch = folder.fold_batch(sequences, num_recycles=1)
    for sequence, found in zip(sequences, batch, strict=True):
        alone = folder.fold(sequence, num_recycles=1)
        assert found.positions == pytest.approx(alone.positions, abs=1e-5 * float(np.abs(alone.positions).max()))
        assert found.ptm == pytest.approx(alone.ptm, rel=1e-5)
        assert found.plddt == pytest.approx(alone.plddt, rel=1e-5)


def test_progress_is_told_after_each_block(folder: Folder) -> None:
    parts: list[float] = []
    folder.fold("MKTAY", num_recycles=1, progress=parts.append)
    assert parts == [0.25, 0.5, 0.75, 1.0]  # two blocks, two passes


def test_replaced_residues_are_told(folder: Folder) -> None:
    with pytest.warns(UserWarning, match="chain A: 1 residue replaced by X"):
        assert folder.fold("MKU", num_recycles=0).chains == ("MKX",)


def test_options(folder: Folder) -> None:
    assert folder.fold("MKTAY", num_recycles=0, pae=False).pae is None
    assert folder.fold("MKTAY", num_recycles=5, recycle_tolerance=1e6).num_passes == 2
    one = folder.fold("MKTAYIAKQR", num_recycles=0, chunk_size=1)
    assert one.plddt == pytest.approx(folder.fold("MKTAYIAKQR", num_recycles=0).plddt, rel=1e-5)


@pytest.mark.parametrize(
    ("sequence", "options", "named"),
    [
        ("MK*", {}, "position 3"),
        ("", {}, "there is no sequence"),
        ("MK", {"num_recycles": -1}, "num-recycles must be a whole number, 0 or more; it is -1"),
        ("MK", {"chunk_size": 0}, "chunk-size must be a whole number, 1 or more; it is 0"),
        ("MK", {"recycle_tolerance": float("nan")}, "recycle-tolerance must be a number above 0"),
    ],
    ids=str,
)
def test_wrong_input_is_named(folder: Folder, sequence: str, options: dict, named: str) -> None:
    with pytest.raises(lf.InputError, match=named.replace("*", r"\*")):
        folder.fold(sequence, **options)


def test_predictions_are_numbered_within_a_folder_or_have_the_id_that_they_are_given(model_folder: Path) -> None:
    folder = lf.load(str(model_folder), device="cpu")
    assert [folder.fold("MK", num_recycles=0).id, folder.fold("GS", num_recycles=0).id] == ["sequence_1", "sequence_2"]
    assert folder.fold("GS", id="my_protein", num_recycles=0).id == "my_protein"
    with pytest.raises(lf.InputError, match="sequence 2"):
        folder.fold_batch(["MK", "M-"])
    assert [found.id for found in folder.fold_batch(["AA", "GG"], num_recycles=0)] == ["sequence_3", "sequence_4"]
    record = parse_sequence("MK", id="read")
    assert folder.fold(record, num_recycles=0).id == "read"
    assert folder.fold(record, id="other", num_recycles=0).id == "other"


def test_what_is_folded_in_a_loop_can_be_saved_in_one_folder(folder: Folder, tmp_path: Path) -> None:
    for sequence in ["MKTAYIAK", "GSHMLEDPVDAF"]:
        folder.fold(sequence, num_recycles=0).save(tmp_path)
    scores = [json.loads(path.read_text())["sequence"] for path in tmp_path.glob("*.scores.json")]
    assert sorted(scores) == ["GSHMLEDPVDAF", "MKTAYIAK"] and len(list(tmp_path.glob("*.pdb"))) == 2


def test_sequences_as_they_may_be_given(folder: Folder) -> None:
    def folded(sequences: Any) -> list[tuple[str, str]]:
        return [(found.id, found.sequence) for found in folder.fold_batch(sequences, num_recycles=0)]

    assert folded({"seqA": "MKTAYIAKQR", "alpha": "GS:HM"}) == [("seqA", "MKTAYIAKQR"), ("alpha", "GS:HM")]
    assert [sequence for _, sequence in folded("MKTAYI")] == ["MKTAYI"]
    assert [sequence for _, sequence in folded(text for text in ["MK", "GS"])] == ["MK", "GS"]
    assert [sequence for _, sequence in folded(np.array(["MK", "GS"]))] == ["MK", "GS"]
    assert folded([]) == folded({}) == []
    assert [len(state) for state in folder.stem_states({"a": "MKT"})] == [len(folder.stem_states("MKT")[0])] == [3]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda folder: folder.fold(["MKTAYIAK", "GSHM"]), "the sequence is a list: .*joined with ':'"),
        (lambda folder: folder.fold(None), "the sequence is missing"),
        (lambda folder: folder.fold({"a": "MK"}), "the sequence is a dict: "),
        (lambda folder: folder.fold_batch([["MK", "GS"]]), "sequence 1 is a list: .*joined with ':'"),
        (lambda folder: folder.stem_states([["MK", "GS"]]), "sequence 1 is a list: .*joined with ':'"),
        (lambda folder: folder.fold_batch(None), "there are no sequences"),
        (lambda folder: folder.fold_batch({"a/b": "MK"}), "id 'a/b' cannot be the name of a file"),
        (lambda folder: folder.fold_batch({1: "MK"}), "an id is text"),
        (lambda folder: folder.fold("MK", id="../evil"), "id '../evil' cannot be the name of a file"),
        (lambda folder: folder.fold("ACGT" * 4), "sequence 1: looks like DNA or RNA"),
        (lambda folder: folder.fold("ACGT" * 4, id="gene"), "sequence 'gene': looks like DNA or RNA"),
        (lambda folder: folder.stem_states(["MK", "ACGT" * 4]), "sequence 2: looks like DNA or RNA"),
    ],
    ids=[
        *("chains", "none", "dict", "chains-in-batch", "chains-in-stem", "no-sequences"),
        *("id-in-batch", "id-no-text", "id", "nucleotides", "nucleotides-by-id", "nucleotides-in-stem"),
    ],
)
def test_wrong_sequences_and_ids_are_named(folder: Folder, call: Any, named: str) -> None:
    with pytest.raises(lf.InputError, match=named):
        call(folder)


def test_letters_of_nucleotides_where_they_are_allowed(folder: Folder) -> None:
    text = "ACGT" * 4
    assert folder.fold(text, num_recycles=0, allow_nucleotide_letters=True).sequence == text
    assert len(folder.stem_states([text], allow_nucleotide_letters=True)[0]) == 16
    record = parse_sequence(text, allow_nucleotide_letters=True)
    assert folder.fold(record, num_recycles=0).sequence == text


def test_missing_device_is_named(model_folder: Path) -> None:
    with pytest.raises(lf.InputError, match=r"device mps:7 is not available.*this machine has cpu"):
        lf.load(str(model_folder), device="mps:7")


def test_describe(folder: Folder, model_folder: Path) -> None:
    about = folder.describe()
    assert about["model"] == about["source"] == str(model_folder)
    assert (about["precision"], about["device"]) == ("fp32", "cpu")
    assert about["resolved_precision"] == "fp32"
    assert about["weights"]["total"]["weights"] == sum(p.numel() for p in small_model().parameters())


@pytest.mark.parametrize("precision", ["pair=bf16", "pair=fp16", "operand=bf16", "pair=bf16,operand=fp32"])
def test_pair_state_in_half_precision(model_folder: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """The policy reaches the engine: what is asked for is what is stored there."""
    seen = []

    def noted(*arguments: Any, storage: PairStorage, **options: Any) -> list:
        seen.append(storage)
        return fold_batch(*arguments, storage=storage, **options)

    monkeypatch.setattr("lowmem_fold.esmfold.fold.fold_batch", noted)
    full, half = (
        lf.load(str(model_folder), precision=p, device="cpu").fold("MKTAYIAKQR" * 3) for p in ("fp32", precision)
    )
    names = dict(word.split("=") for word in precision.split(","))
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    state = dtypes[names.get("pair", "fp32")]
    assert seen[0] == PairStorage(torch.float32, torch.float32)
    assert seen[1] == PairStorage(state, dtypes[names["operand"]] if "operand" in names else state)
    assert 0 < np.abs(half.plddt - full.plddt).max() < 2.0


# --- a budget


def needed(model: Path | str, length: int) -> dict[str, int]:
    plans = lf.plan(length, model=str(model), device="cpu", precision="fp32").plans
    return {plan.placement: plan.needed_bytes for plan in plans if plan.precision == "fp32"}


def test_a_budget_chooses_the_placement() -> None:
    """Of a model whose stem is converted as it arrives: where the file is read as it is, staged takes no more than
    streamed."""
    for placement, memory in needed("demo", 16).items():
        assert lf.load("demo", device="cpu", memory=memory, length=16).placement == placement
    with pytest.raises(lf.InputError, match=r"does not fit in .* would do for 16 residues in fp32 \(streamed\)"):
        lf.load("demo", device="cpu", memory=memory - 1, length=16)


def test_a_longer_record_changes_the_placement_or_is_refused(model_folder: Path, folder: Folder) -> None:
    memory = needed(model_folder, 200)["staged"]
    loaded = lf.load(str(model_folder), device="cpu", memory=memory, length=16)
    assert loaded.placement == "resident"
    assert loaded.fold("MKV" * 5, num_recycles=0) and loaded.placement == "resident"
    long = "MKTAYIAKQR" * 20
    np.testing.assert_array_equal(
        loaded.fold(long, num_recycles=0).positions, folder.fold(long, num_recycles=0).positions
    )
    assert loaded.placement == "staged"
    with pytest.raises(lf.InputError, match="400 residues"):
        loaded.fold(long * 2, num_recycles=0)
    assert loaded.fold(long, num_recycles=0) and loaded.placement == "staged"


def test_records_of_a_batch_count_together(model_folder: Path) -> None:
    memory = needed(model_folder, 200)["staged"]
    loaded = lf.load(str(model_folder), device="cpu", memory=memory, length=150)
    assert loaded.placement == "resident"
    with pytest.raises(lf.InputError, match="213 residues"):  # the square root of twice 150 x 150
        loaded.fold_batch(["MKTAY" * 30] * 2, num_recycles=0)


def test_what_is_free_is_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    free = needed("demo", 16)
    monkeypatch.setattr(loading, "usable_bytes", lambda device: free["streamed"])
    assert lf.load("demo", device="cpu", length=16).placement == "streamed"
    with pytest.raises(lf.InputError, match=r"fp32 does not fit .*resident needs"):
        lf.load("demo", device="cpu", placement="resident")


def test_a_budget_does_not_depend_on_the_first_length(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded for a short record with plenty of room, a model refuses the long one for which there is none."""
    monkeypatch.setattr(loading, "usable_bytes", lambda device: 2 * 2**30)
    loaded = lf.load(str(model_folder), device="cpu")
    assert loaded.fold("MKTAYIAKQR", num_recycles=0) and loaded.planned_placement(10) == "resident"
    assert loaded.planned_placement(9000) is None
    with pytest.raises(lf.InputError, match=r"does not fit in 2.00 GiB.*GiB would do for 9,000 residues"):
        loaded.fold("M" * 9000, num_recycles=0)


@pytest.mark.parametrize("free", [2**40, None], ids=["plenty", "not-told"])
def test_with_plenty_nothing_is_planned(free: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "usable_bytes", lambda device: free)
    monkeypatch.setattr(loading, "Planner", None)
    loaded = lf.load("demo", device="cpu", length=16)
    assert loaded.placement == loaded.planned_placement(20) == "resident"


def test_the_stem_takes_as_many_records_as_a_budget_has_room_for(model_folder: Path, folder: Folder) -> None:
    """Two numbers of 64 for each residue, beside the longest record."""
    sequences = ["MKTAYIAKQR" * n for n in (2, 2, 3, 2, 1, 4, 2)]
    memory = needed(model_folder, 40)["resident"] + 30 * 2 * 4 * 64
    loaded = lf.load(str(model_folder), device="cpu", memory=memory, length=40)
    inputs = [FAMILY.features(parse_sequence(sequence), loaded.device) for sequence in sequences]
    _, windows = loaded._loaded._stem_windows(inputs)
    assert [sum(len(given.aatype) for given in window) for window in windows] == [70, 70, 20]
    heard: list[float] = []
    for state, sequence in zip(loaded.stem_states(sequences, progress=heard.append), sequences, strict=True):
        np.testing.assert_allclose(state, folder.stem_states([sequence])[0], rtol=1e-4, atol=1e-5)
    assert heard == sorted(heard) and heard[-1] == pytest.approx(1)


def test_states_of_another_length_are_refused(folder: Folder) -> None:
    assert folder.stem_states([]) == []
    with pytest.raises(lf.InputError, match=r"states of \[3\] residues are not those of \[5\]"):
        folder.fold("MKVLA", states=folder.stem_states(["MKV"])[0])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), KeyboardInterrupt()], ids=str)
@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_a_traceback_that_is_kept_holds_no_pair_state(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, placement: str, error: BaseException
) -> None:
    """A notebook keeps the last one: the next fold would have that much less memory."""
    seen = {}

    def failing(z: torch.Tensor, *_: object) -> None:
        seen["z"] = weakref.ref(z)
        raise error

    loaded = lf.load(str(model_folder), device="cpu", placement=placement)
    monkeypatch.setattr(trunk_module, "pair_transition", failing)
    with pytest.raises(type(error)) as caught:
        loaded.fold("MKTAYIAKQR", num_recycles=0)
    assert caught.value.__traceback__ is not None and seen["z"]() is None
    monkeypatch.undo()
    assert loaded.fold("MKTAYIAKQR", num_recycles=0).length == 10


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_folds_of_two_threads_run_one_after_another(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, placement: str
) -> None:
    """The second is asked for while the first is in the middle of a block, and both give what they give alone."""
    folder = lf.load(str(model_folder), device="cpu", placement=placement)
    first, second = "MKTAYIAKQRQISFVK", "GSHMLEKKRRAYIA"
    alone = {each: folder.fold(each, num_recycles=1).positions for each in (first, second)}
    found, threads, transition = {}, [], trunk_module.pair_transition

    def fold_second() -> None:
        found[second] = folder.fold(second, num_recycles=1).positions

    def in_a_block(*given: object) -> None:
        if not threads:
            threads.append(threading.Thread(target=fold_second))
            threads[0].start()
            threads[0].join(1)  # in vain, unless both run at once
        transition(*given)

    monkeypatch.setattr(trunk_module, "pair_transition", in_a_block)
    found[first] = folder.fold(first, num_recycles=1).positions
    threads[0].join()
    for each, positions in alone.items():
        np.testing.assert_array_equal(found[each], positions)
