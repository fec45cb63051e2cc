"""Masked residues: probabilities against stock transformers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.backbones.fill import fill
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.errors import InputError, ModelError

from .masked_stock import AMINO_ACIDS, MASKED, stock_of

SEQUENCES = ["MKT*LV", "*ACDEFGHIK*", "GG*"]


@pytest.mark.parametrize("case", MASKED)
def test_probabilities_are_stocks(family_folder, case):
    stock = stock_of(family_folder(case), case)
    filled = fill(load_backbone(family_folder(case), device="cpu"), SEQUENCES, k=20)
    assert [each.sequence for each in filled] == SEQUENCES
    for sequence, each in zip(SEQUENCES, filled, strict=True):
        expected = np.exp(stock.log_probabilities(sequence))
        expected /= expected.sum(1, keepdims=True)
        for filling, row in zip(each.fillings, expected, strict=True):
            assert sequence[filling.position - 1] == "*"
            assert sorted(filling.residues) == list(AMINO_ACIDS)
            assert filling.probabilities == tuple(sorted(filling.probabilities, reverse=True))
            np.testing.assert_allclose(
                filling.probabilities, row[[AMINO_ACIDS.index(r) for r in filling.residues]], rtol=1e-4
            )


def test_ways_to_write_a_mask(esm2):
    plain, *others = fill(esm2, ["MKT*LV*", "mkt<mask>lv<mask>", " MK T*\nLV*"], k=2)
    assert [filling.position for filling in plain.fillings] == [4, 7]
    assert all(other.sequence == plain.sequence for other in others)
    assert all(other.best == plain.best for other in others)


def test_best_has_the_first_of_each(esm2):
    (filled,) = fill(esm2, ["M*T*"], k=1)
    first, second = (filling.residues for filling in filled.fillings)
    assert filled.best == f"M{first}T{second}"
    assert len(first) == len(filled.fillings[0].probabilities) == 1


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("MKTL", "sequence 1: no residue is masked"),
        ("  ", "sequence 1: there is no sequence"),
        ("MK*:AA", "sequence 1: 2 chains, and a language model reads one at a time"),
        ("MK*1", "sequence 1: position 4: '1' is not an amino acid"),
    ],
    ids=["no-mask", "empty", "chains", "digit"],
)
def test_refused_sequences(esm2, sequence, message):
    with pytest.raises(InputError, match=message):
        fill(esm2, [sequence])


@pytest.mark.parametrize("k", [0, 21])
def test_k_is_a_number_of_amino_acids(esm2, k):
    with pytest.raises(InputError, match=f"is 1 to 20; it is {k}"):
        fill(esm2, ["M*"], k)


def test_sequences_as_they_may_be_given(esm2):
    expected = fill(esm2, ["M*"])
    assert fill(esm2, "M*") == fill(esm2, {"M*A": "M*"}) == fill(esm2, (text for text in ["M*"])) == expected
    with pytest.raises(InputError, match=r"sequence 1 is a list: .*joined with ':'"):
        fill(esm2, [["M*", "GS"]])


def test_letters_of_nucleotides_where_they_are_allowed(esm2):
    text = "ACGT" * 4 + "*"
    with pytest.raises(InputError, match="sequence 1: looks like DNA or RNA"):
        fill(esm2, [text])
    assert len(esm2.fill([text], allow_nucleotide_letters=True)) == 1


def test_too_long(family_folder):
    backbone = load_backbone(family_folder("esm1"), device="cpu")
    most = backbone.family.max_residues
    assert fill(backbone, ["*" * most])
    with pytest.raises(InputError, match=f"long one: {most + 1} residues, and ESM-1b/1v has positions for {most}"):
        fill(backbone, ["*" * (most + 1)], names=["long one"])


def test_encoders_are_refused_with_what_to_take(family_folder):
    backbone = load_backbone(family_folder("prott5"), device="cpu")
    with pytest.raises(InputError, match=r"ProtT5 is an encoder .* use it to embed, and to fill, .* one of .*ESM-2"):
        fill(backbone, ["M*"])


def test_a_checkpoint_without_head_is_refused(family_folder):
    with pytest.raises(InputError, match="holds no head for masked residues, only the encoder of ESM-2"):
        fill(load_backbone(family_folder("esm2-alone"), device="cpu"), ["M*"])


def test_numbers_that_overflowed_are_no_probabilities(esm2, monkeypatch):
    logits = esm2.logits
    monkeypatch.setattr(esm2, "logits", lambda tokens: logits(tokens) * float("inf"))
    with pytest.raises(ModelError, match="not finite in fp32"):
        fill(esm2, ["M*"])


@pytest.mark.gpu
@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_a_card_gives_the_same(family_folder, esm2, placement):
    found = fill(load_backbone(family_folder("esm2"), device="cuda", placement=placement), SEQUENCES, k=20)
    for one, other in zip(found, fill(esm2, SEQUENCES, k=20), strict=True):
        for ours, theirs in zip(one.fillings, other.fillings, strict=True):
            assert dict(zip(ours.residues, ours.probabilities, strict=True)) == pytest.approx(
                dict(zip(theirs.residues, theirs.probabilities, strict=True)), rel=1e-3
            )
