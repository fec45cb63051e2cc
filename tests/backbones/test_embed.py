"""Embeddings beside stock transformers' states, whatever is beside a sequence in its batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertModel, EsmForMaskedLM, EsmModel, T5EncoderModel

from lowmem_fold.backbones.embed import embed
from lowmem_fold.backbones.embedding import Embedder
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.pooling import parse_pool
from lowmem_fold.backbones.recipe import make_recipe
from lowmem_fold.backbones.windows import windows
from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.sequences.fasta import parse_sequence
from tests.backbones.models import BERT, CASES, ESM, T5_PIECES, esm_config

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "GS", "ACDEFGHIKLMNPQRSTVWYX", "MKTAYIAKQR", "W", "GS", "MVLSPADKTNVKAAW"]
#: By family: stock's model, how it is loaded, its words, and the special tokens before and behind.
STOCK = {
    "esm2": (EsmModel, {"add_pooling_layer": False}, ESM, ["<cls>"], ["<eos>"]),
    "protbert": (BertModel, {"add_pooling_layer": False}, BERT, ["[CLS]"], ["[SEP]"]),
    "prott5": (T5EncoderModel, {}, [piece.strip("\u2581") for piece in T5_PIECES], [], ["</s>"]),
}


@pytest.fixture(scope="module")
def backbone(family_folder):
    loaded = {}

    def load(case):
        if case not in loaded:
            loaded[case] = load_backbone(family_folder(case), device="cpu")
        return loaded[case]

    return load


@pytest.fixture(scope="module")
def stock_states(family_folder):
    """Of a sequence run alone by stock transformers: states (layers, T, D), special tokens included."""
    loaded = {}

    def states(case, sequence):
        model, keywords, words, before, behind = STOCK[case]
        if case not in loaded:
            loaded[case] = model.from_pretrained(family_folder(case), **keywords).eval()
        tokens = [words.index(word) for word in [*before, *sequence, *behind]]
        with torch.no_grad():
            out = loaded[case](torch.tensor([tokens]), output_hidden_states=True)
        return torch.cat(out.hidden_states).numpy()

    return states


def close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("case", STOCK)
def test_residues_are_stocks_states(backbone, stock_states, case):
    for sequence, found in zip(SEQUENCES, embed(backbone(case), SEQUENCES, "all"), strict=True):
        states = stock_states(case, sequence)
        start = len(STOCK[case][3])
        close(found.residues, states[:, start : start + len(sequence)])
        assert found.pooled is None


@pytest.mark.parametrize("case", STOCK)
def test_pooled(backbone, stock_states, case):
    start = len(STOCK[case][3])
    pool = ["std", "mean", "max", *(["cls"] if start else [])]
    for sequence, found in zip(SEQUENCES, embed(backbone(case), SEQUENCES, [-1, 1], pool), strict=True):
        states = stock_states(case, sequence)[[3, 1]]
        residues = states[:, start : start + len(sequence)]
        parts = [residues.std(1), residues.mean(1), residues.max(1), states[:, 0]]
        close(found.pooled, np.concatenate(parts[: len(pool)], -1))
        assert found.residues is None


def test_mix(backbone, stock_states):
    for sequence, found in zip(
        SEQUENCES, embed(backbone("esm2"), SEQUENCES, {-1: 0.75, 0: -2.0}, "cls,mean,max", residues=True), strict=True
    ):
        states = stock_states("esm2", sequence)
        mixed = 0.75 * states[3] - 2 * states[0]
        close(found.residues, mixed[1:-1])
        close(found.pooled, np.concatenate([mixed[0], mixed[1:-1].mean(0), mixed[1:-1].max(0)]))


@pytest.mark.parametrize("case", CASES)
def test_neighbours_in_a_batch_change_nothing(backbone, case):
    """Relative 1e-5: a value depends on its own sequence alone."""
    assert_neighbours_change_nothing(backbone(case))


@pytest.mark.parametrize("precision", ["int8", "int4", "bnb-int8", "bnb-nf4"])
def test_neighbours_change_nothing_where_products_are_quantized(loud, precision):
    assert_neighbours_change_nothing(load_backbone(loud, precision, device="cpu"))


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """A model some of whose layers are given values of magnitude 6 and more: bnb-int8 multiplies these apart."""
    torch.manual_seed(0)
    model = EsmForMaskedLM(esm_config(hidden_size=128))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm.weight" in name:
                parameter *= 1.6
    folder = tmp_path_factory.mktemp("loud")
    model.save_pretrained(folder)
    return folder


def assert_neighbours_change_nothing(model):
    alone = [embed(model, [sequence], "all", "mean,max,std", residues=True)[0] for sequence in SEQUENCES]
    for max_tokens in (None, 1, 30, 60):
        found = embed(model, SEQUENCES, "all", "mean,max,std", residues=True, max_tokens=max_tokens)
        for one, other in zip(found, alone, strict=True):
            close(one.residues, other.residues)
            close(one.pooled, other.pooled)


def test_padded_batch_changes_nothing(backbone):
    """All in one batch, whatever the padding."""
    embedder = Embedder(backbone("esm2"), make_recipe("all", "mean,cls", residues=True))
    for one, sequence in zip(embedder.embed(SEQUENCES), SEQUENCES, strict=True):
        (other,) = embedder.embed([sequence])
        close(one.residues, other.residues)
        close(one.pooled, other.pooled)


def test_sequence_that_comes_twice_is_run_once(backbone):
    found = embed(backbone("esm2"), SEQUENCES)
    assert found[1] is found[5]


def test_axis_of_layers(backbone):
    shapes = {
        str(layers): embed(backbone("esm2"), ["MKT"], layers, "mean,max", residues=True)[0].arrays
        for layers in ("last", 0, [0], "all", {0: 1.0, 1: 1.0})
    }
    found = {name: (arrays["residues"].shape, arrays["pooled"].shape) for name, arrays in shapes.items()}
    assert found == {
        "last": ((3, 32), (64,)),
        "0": ((3, 32), (64,)),
        "[0]": ((1, 3, 32), (1, 64)),
        "all": ((4, 3, 32), (4, 64)),
        "{0: 1.0, 1: 1.0}": ((3, 32), (64,)),
    }


def test_progress_ends(backbone):
    told = []
    embed(backbone("esm2"), SEQUENCES, max_tokens=30, progress=told.append)
    assert told == sorted(told) and told[-1] == 1 and len(told) > 2


# Long sequences


def test_long_sequences_are_refused_by_name(backbone):
    with pytest.raises(InputError, match=r"sequence 3: 21 residues are more than the 20 that max_length allows"):
        embed(backbone("esm2"), ["MK", "GS", SEQUENCES[2]], max_length=20)
    with pytest.raises(InputError, match=r"80 residues are more than the 36 that ESM-1b/1v takes"):
        embed(backbone("esm1"), ["MK" * 40])


def test_truncated(backbone):
    options = {"long": "truncate", "max_length": 10, "pool": "mean", "residues": True}
    with pytest.warns(UserWarning, match=r"truncated: sequence 1 \(22 residues, to 10\)$") as caught:
        cut, whole = backbone("esm2").embed([SEQUENCES[0], "GS"], **options)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match=r"to 10\) and 2 more$"):
        embed(backbone("esm2"), [SEQUENCES[0]] * 12, **options)
    expected, _ = embed(backbone("esm2"), [SEQUENCES[0][:10], "GS"], pool="mean", residues=True)
    assert cut.residues.shape == (10, 32) and whole.residues.shape == (2, 32)
    close(cut.residues, expected.residues)
    close(cut.pooled, expected.pooled)


def test_windows(backbone):
    long = "".join(SEQUENCES)
    options = {"long": "windows", "max_length": 20, "overlap": 6}
    found, short = embed(backbone("esm2"), [long, "GS"], [0, -1], "cls,mean,std", residues=True, **options)
    parts, tokens = [], []
    for window in windows(len(long), 20, 6):
        (part,) = embed(backbone("esm2"), [long[window.start : window.end]], [0, -1], "cls", residues=True)
        parts.append(part.residues[:, window.first - window.start : window.last - window.start])
        tokens.append(part.pooled)
    residues = np.concatenate(parts, 1)
    close(found.residues, residues)
    close(found.pooled, np.concatenate([np.mean(tokens, 0), residues.mean(1), residues.std(1)], -1))
    close(short.residues, embed(backbone("esm2"), ["GS"], [0, -1])[0].residues)


@pytest.fixture
def sizes(backbone, monkeypatch):
    """Rows of each batch of the small ESM-2; a batch with the residues WWWW fails."""
    model, sizes = backbone("esm2"), []
    run, tokens = model.hidden_states, model.family.encode("WWWW")[1:-1]

    def hidden_states(token_lists, *rest):
        sizes.append(len(token_lists))
        if any(each[place : place + 4] == tokens for each in token_lists for place in range(len(each))):
            raise RuntimeError("no luck")
        run(token_lists, *rest)

    monkeypatch.setattr(model, "hidden_states", hidden_states)
    return sizes


def test_windows_share_batches(backbone, sizes):
    """Of one sequence and of several; what comes of them is what comes of each by itself."""
    long = ["".join(SEQUENCES), "MKTAYIAKQR" * 9, "ACDEFGHIKL" * 4]
    options = {"pool": "cls,mean,max", "residues": True, "long": "windows", "max_length": 20, "overlap": 6}
    alone = [embed(backbone("esm2"), [sequence], max_tokens=1, **options)[0] for sequence in long]
    number = sum(len(windows(len(sequence), 20, 6)) for sequence in long)
    assert sizes == [1] * number
    for most in (3, 4, number):
        sizes.clear()
        found = embed(backbone("esm2"), long, max_tokens=most * 22, **options)
        assert sum(sizes) == number and len(sizes) == -(-number // most)
        for one, other in zip(found, alone, strict=True):
            close(one.residues, other.residues)
            close(one.pooled, other.pooled)


@pytest.mark.parametrize("max_tokens", [1, 3 * 22, 1000])
def test_window_that_fails_fails_its_sequence_once(backbone, sizes, max_tokens):
    long = ["MKTAYIAKQR" * 6, "MKTAYIAKQR" * 4 + "WWWW" * 6, "ACDEFGHIKL" * 6, "GS"]
    embedder = Embedder(backbone("esm2"), make_recipe(long="windows", max_length=20, overlap=0))
    found, failures = {}, []
    embedder.embed_all(long, found.update, max_tokens, lambda index, error: failures.append((index, str(error))))
    assert failures == [(1, "no luck")] and sorted(found) == [0, 2, 3]
    assert [len(found[index].residues) for index in (0, 2, 3)] == [60, 60, 2]
    if max_tokens == 1:
        assert len(sizes) == 3 + 3 + 3 + 1  # the window after the one that failed is not run


def test_windows_of_a_model_with_positions(backbone):
    long = "MKTAYIAKQR" * 10
    (found,) = embed(backbone("esm1"), [long], long="windows", pool="max")
    assert found.pooled.shape == (32,) and found.residues is None
    assert embed(backbone("esm1"), [long], long="windows")[0].residues.shape == (100, 32)


# What cannot be had


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pool": "mean,median"}, "unknown pooling 'median'; choose from: mean, max, cls, std"),
        ({"pool": "mean,mean"}, "each can be named once"),
        ({"residues": False}, "no result"),
        ({"long": "split"}, "unknown value 'split' for long sequences"),
        ({"max_length": 0}, "1 or more"),
        ({"overlap": 3}, "an overlap is of windows"),
        ({"long": "windows", "overlap": -1}, "0 or more"),
        ({"long": "windows", "overlap": 8, "max_length": 8}, "windows of 8 residues cannot share 8"),
        ({"layers": 4}, "no layer 4"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_wrong_options(backbone, options, named):
    with pytest.raises(InputError, match=named):
        embed(backbone("esm2"), ["MKT"], **options)


def test_what_a_family_has_not(backbone):
    with pytest.raises(InputError, match="ProtT5 has no token before the residues"):
        embed(backbone("prott5"), ["MKT"], pool="cls")
    with pytest.raises(InputError, match="windows hold 36 residues and cannot share 40"):
        embed(backbone("esm1"), ["MKT"], long="windows", overlap=40)


@pytest.mark.parametrize(
    ("sequences", "named"),
    [
        (["MKT", "M-T"], "sequence 2: .*position 2.*'-'"),
        ({"a b": "M-T"}, "sequence 'a b': .*position 2.*'-'"),
        (["MKT", None], "sequence 2 is missing"),
        ([["MKT", "GS"]], "sequence 1 is a list: .*joined with ':'"),
        (["ACGT" * 4], "sequence 1: looks like DNA or RNA"),
        (["MKT:GS"], "2 chains"),
        ([""], "no sequence"),
    ],
    ids=["gap", "gap-by-id", "none", "list", "nucleotides", "chains", "empty"],
)
def test_wrong_sequences(backbone, sequences, named):
    with pytest.raises(InputError, match=named):
        embed(backbone("esm2"), sequences)


def test_a_string_is_one_sequence_and_a_dictionary_is_of_ids_to_sequences(backbone):
    model = backbone("esm2")
    (one,) = embed(model, "MKTAYI")
    found = embed(model, {"long": "MKTAYI", "sp|P12345|x": "GS"})
    assert [each.residues.shape[0] for each in found] == [6, 2]
    assert found[0].residues == pytest.approx(one.residues, abs=1e-5)


def test_letters_of_nucleotides_where_they_are_allowed(backbone):
    model, text = backbone("esm2"), "ACGT" * 4
    assert embed(model, [text], allow_nucleotide_letters=True)[0].residues.shape[0] == 16
    record = parse_sequence(text, allow_nucleotide_letters=True)
    assert embed(model, [record])[0].residues.shape[0] == 16


def test_numbers_that_are_none_are_refused(backbone, monkeypatch):
    model = backbone("esm2")
    run = model.hidden_states

    def overflowing(tokens, layers, receive):
        run(tokens, layers, lambda number, states: receive(number, states / 0))

    monkeypatch.setattr(model, "hidden_states", overflowing)
    with pytest.raises(ModelError, match="not finite numbers in fp32"):
        embed(model, ["MKT"])


@pytest.mark.gpu
def test_cuda(backbone, family_folder):
    on_device = load_backbone(family_folder("esm2"), device="cuda")
    recipe = {"layers": "all", "pool": "mean,max,cls,std", "residues": True}
    for found, expected in zip(
        embed(on_device, SEQUENCES, **recipe), embed(backbone("esm2"), SEQUENCES, **recipe), strict=True
    ):
        close(found.residues, expected.residues, 1e-4)
        close(found.pooled, expected.pooled, 1e-4)


@pytest.mark.gpu
def test_cuda_without_room_halves_batches(family_folder, monkeypatch):
    """The activations of all at once are more than is left on the device, also in segments of its allocator."""
    model = load_backbone(family_folder("esm2"), device="cuda")
    sequences = ["MKTAYIAKQRQISFVKSHFS" * 50 + "ACDEFGHIKLMNPQRSTVWY"[index % 20] for index in range(40)]
    expected = embed(model, sequences, pool="mean", max_tokens=1003)
    sizes, run = [], model.hidden_states
    monkeypatch.setattr(model, "hidden_states", lambda tokens, *rest: (sizes.append(len(tokens)), run(tokens, *rest)))
    torch.cuda.empty_cache()
    # A block of 1 to 10 MiB is cut from a segment of 20, a larger one has a segment of its own: room for a few.
    allowed = torch.cuda.memory_reserved() + model.peak_bytes(8, 1003) + 3 * 20 * 2**20
    assert allowed < model.peak_bytes(len(sequences), 1003)
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        found = embed(model, sequences, pool="mean", max_tokens=len(sequences) * 1003)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert sizes[0] == len(sequences) and 1 <= min(sizes) < len(sequences)
    for one, other in zip(found, expected, strict=True):
        close(one.pooled, other.pooled, 1e-4)


def test_pool_as_text_or_names():
    assert parse_pool("std, mean") == parse_pool(["std", "mean"]) == ("std", "mean")
    assert parse_pool(None) == ()
