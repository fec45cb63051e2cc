"""Pseudo-perplexity and masked marginals against stock transformers, one masked sequence at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowmem_fold.backbones import score as score_module
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.queries import Query
from lowmem_fold.backbones.score import score, score_mutations
from lowmem_fold.errors import InputError
from lowmem_fold.sequences.fasta import parse_sequence

from .masked_stock import AMINO_ACIDS, MASKED, stock_of

SEQUENCE = "MKTAYIAKQRG"


def masked(sequence: str, *positions: int) -> str:
    return "".join("*" if place in positions else letter for place, letter in enumerate(sequence, start=1))


def log_likelihood(stock, sequence: str) -> float:
    """Of the definition: each residue alone is masked."""
    return sum(
        stock.log_probabilities(masked(sequence, place))[0, AMINO_ACIDS.index(letter)]
        for place, letter in enumerate(sequence, start=1)
        if letter in AMINO_ACIDS
    )


@pytest.mark.parametrize("case", MASKED)
def test_pseudo_perplexity_is_the_definition(family_folder, case):
    stock = stock_of(family_folder(case), case)
    unusual = "GCGGA" if case == "antiberty" else "GXGGU"  # of which it knows none
    sequences = [SEQUENCE, unusual, "ACDEFGHIKLMNPQRSTVWY", SEQUENCE]
    found = score(load_backbone(family_folder(case), device="cpu"), sequences)
    for sequence, each in zip(sequences, found, strict=True):
        expected = log_likelihood(stock, sequence)
        scored = sum(letter in AMINO_ACIDS for letter in sequence)
        assert (each.length, each.scored) == (len(sequence), scored)
        assert each.log_likelihood == pytest.approx(expected, rel=1e-5)
        assert each.pseudo_perplexity == pytest.approx(math.exp(-expected / scored), rel=1e-4)


def test_equal_sequences_and_positions_are_run_once(esm2, monkeypatch):
    asked = []
    logits = esm2.logits
    monkeypatch.setattr(esm2, "logits", lambda tokens: asked.extend(map(tuple, tokens)) or logits(tokens))
    score(esm2, [SEQUENCE, SEQUENCE])
    assert len(asked) == len(set(asked)) == len(SEQUENCE)
    asked.clear()
    score_mutations(esm2, SEQUENCE, ["M1A", "M1C", "K2A:M1D", "M1E:K2C"])
    assert len(asked) == 2


def test_memory_is_bounded_by_residues(esm2, monkeypatch):
    """Of what is asked at a time, whether of one sequence or of several."""
    sequences = [SEQUENCE, "MKT", "GG", "A", "W"]
    expected = score(esm2, sequences)
    asked = []
    whole = score_module.masked_log_probabilities
    monkeypatch.setattr(score_module, "_RESIDUES_AT_ONCE", 24)
    monkeypatch.setattr(
        score_module,
        "masked_log_probabilities",
        lambda backbone, masked, *rest: asked.append(masked) or whole(backbone, masked, *rest),
    )
    for one, other in zip(score(esm2, sequences), expected, strict=True):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-5)
    sizes = [sum(map(len, masked)) for masked in asked]
    assert sizes == [22] * 5 + [11] + [9 + 4 + 1 + 1]


@pytest.mark.parametrize("case", ["esm2", "antiberty"])
def test_masked_marginals_are_the_definition(family_folder, case):
    stock = stock_of(family_folder(case), case)
    variants = {"A4V": [4], "K2W:R10D": [2, 10], "R10D:K2W": [2, 10], "G11G": [11], "K2A": [2]}
    found = score_mutations(load_backbone(family_folder(case), device="cpu"), SEQUENCE, list(variants))
    assert [each.variant for each in found] == list(variants)
    for each, positions in zip(found, variants.values(), strict=True):
        log_p = stock.log_probabilities(masked(SEQUENCE, *positions))
        mutants = {int(part[1:-1]): part[-1] for part in each.variant.split(":")}
        expected = sum(
            row[AMINO_ACIDS.index(mutants[place])] - row[AMINO_ACIDS.index(SEQUENCE[place - 1])]
            for place, row in zip(positions, log_p, strict=True)
        )
        assert each.score == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_all_mutations(esm2, esm2_stock):
    found = {each.variant: each.score for each in score_mutations(esm2, "MXT", "all")}
    assert len(found) == 2 * 19
    (row,) = esm2_stock.log_probabilities("MX*")
    assert found["T3W"] == pytest.approx(row[AMINO_ACIDS.index("W")] - row[AMINO_ACIDS.index("T")], rel=1e-4)


def test_long_sequences_are_seen_around_the_mask(family_folder):
    stock = stock_of(family_folder("esm1"), "esm1")
    backbone = load_backbone(family_folder("esm1"), device="cpu")
    sequence, size = SEQUENCE * 5, backbone.family.max_residues
    with pytest.raises(InputError, match=f"the sequence: 55 residues, and ESM-1b/1v has positions for {size}; choose"):
        score_mutations(backbone, sequence, ["M1A"])
    for variant, start in (("M1A", 0), ("Y27A", 26 - size // 2), ("G55A", 55 - size)):
        window = masked(sequence, int(variant[1:-1]))[start : start + size]
        (row,) = stock.log_probabilities(window)
        (found,) = score_mutations(backbone, sequence, [variant], long="windows")
        expected = row[AMINO_ACIDS.index("A")] - row[AMINO_ACIDS.index(variant[0])]
        assert found.score == pytest.approx(expected, rel=1e-4)
    (whole,) = score(backbone, [sequence], long="windows")
    assert whole.scored == len(sequence)


def test_positions_beyond_one_window_are_refused(family_folder):
    backbone = load_backbone(family_folder("esm1"), device="cpu")
    sequence, size = "A" * 100, backbone.family.max_residues
    assert score_mutations(backbone, sequence, [f"A1C:A{size}C"], long="windows")
    with pytest.raises(InputError, match=f"positions 1 and {size + 1} are masked together, and the model sees {size}"):
        score_mutations(backbone, sequence, [f"A1C:A{size + 1}C"], long="windows")


@pytest.mark.parametrize(
    ("positions", "seen"),
    [((1,), "*BCD"), ((2,), "A*CD"), ((4,), "BC*E"), ((8,), "EFG*"), ((3, 6), "*DE*")],
    ids=["start", "near-start", "middle", "end", "as-wide-as-the-window"],
)
def test_windows(positions, seen):
    sequence = "ABCDEFGH"
    query = Query(sequence, tuple((place, sequence[place - 1]) for place in positions))
    assert query.masked(4) == seen
    assert query.masked(None) == query.masked(8) == masked(sequence, *positions)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        (["MKT", "MK*"], "sequence 2: position 3 is masked, and has no score"),
        (["XX"], "sequence 1: no residue is one of the 20 amino acids"),
        (["MK:T"], "sequence 1: 2 chains, and a language model reads one at a time"),
        ({"a": "MK-"}, "sequence 'a': position 3: '-' is not an amino acid"),
        ([["MKT", "GS"]], "sequence 1 is a list: .*joined with ':'"),
        (["MKT", float("nan")], "sequence 2 is missing"),
        (["ACGT" * 4], "sequence 1: looks like DNA or RNA"),
    ],
    ids=["masked", "unknown", "chains", "by-id", "list", "nan", "nucleotides"],
)
def test_refused_sequences(esm2, sequences, message):
    with pytest.raises(InputError, match=message):
        score(esm2, sequences)


@pytest.mark.parametrize(
    ("mutations", "message"),
    [("M1A", "mutations are a list, or 'all'"), ([], "no mutations are given"), (["M2A"], "position 2 is K, not M")],
    ids=["string", "none", "wild-type"],
)
def test_refused_mutations(esm2, mutations, message):
    with pytest.raises(InputError, match=message):
        score_mutations(esm2, SEQUENCE, mutations)


def test_sequences_as_they_may_be_given(esm2):
    expected = score(esm2, ["MKTAY"])
    assert score(esm2, "MKTAY") == score(esm2, {"alpha": "MKTAY"}) == score(esm2, iter(["MKTAY"])) == expected


def test_letters_of_nucleotides_where_they_are_allowed(esm2):
    text = "ACGT" * 4
    assert score(esm2, [text], allow_nucleotide_letters=True)[0].length == 16
    assert score(esm2, [parse_sequence(text, allow_nucleotide_letters=True)])[0].length == 16
    with pytest.raises(InputError, match="the sequence: looks like DNA or RNA"):
        score_mutations(esm2, text, ["A1C"])
    assert len(score_mutations(esm2, text, ["A1C"], allow_nucleotide_letters=True)) == 1
    with pytest.raises(InputError, match=r"the sequence is a list: .*joined with ':'"):
        score_mutations(esm2, ["MKT"], ["M1A"])


def test_unknown_way_with_long_sequences(esm2):
    with pytest.raises(InputError, match="unknown value 'cut' for long sequences; choose from: refuse, windows"):
        score(esm2, [SEQUENCE], long="cut")


def test_batches_change_nothing(esm2, monkeypatch):
    together = score(esm2, [SEQUENCE[:7], SEQUENCE[:3]])
    logits = esm2.logits

    def out_of_memory(tokens):
        if len(tokens) > 1:
            raise MemoryError
        return logits(tokens)

    monkeypatch.setattr(esm2, "logits", out_of_memory)
    alone = score(esm2, [SEQUENCE[:7], SEQUENCE[:3]])
    np.testing.assert_allclose(
        [each.log_likelihood for each in together], [each.log_likelihood for each in alone], rtol=1e-5
    )
