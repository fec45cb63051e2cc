"""Tokens beside those of stock tokenizers, and which checkpoint is of which family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers

from lowmem_fold.backbones.families import AMINO_ACIDS, family_of, masked_families
from lowmem_fold.backbones.families.vocabulary import read_vocabulary
from lowmem_fold.errors import InputError, ModelError
from tests.backbones.models import ANTIBODY, BERT, CASES, ESM, NAMES, SEQUENCES, T5_PIECES, lines, pieces

STANDARD = "MKTAYIAKQRACDEFGHIKLMNPQRSTVWY"


@pytest.mark.parametrize("case", CASES)
def test_family_is_chosen_from_the_configuration(family_folder, case: str) -> None:
    assert family_of(family_folder(case)).name == NAMES[case]


@pytest.mark.parametrize("case", CASES)
def test_who_can_fill_masks_is_known_without_a_checkpoint(family_folder, case: str) -> None:
    family = family_of(family_folder(case))
    assert (family.name in masked_families()) == (family.mask_id is not None)


def stock_esm(tmp_path: Path):
    lines(tmp_path, ESM)
    return transformers.EsmTokenizer(str(tmp_path / "vocab.txt"))


@pytest.mark.parametrize("sequence", ["MKTAYIXUZOB", "M<mask>T"], ids=["unusual", "masked"])
@pytest.mark.parametrize("case", ["esm2", "esm2-alone", "esm1"])
def test_tokens_of_esm_are_stocks(family_folder, tmp_path: Path, case: str, sequence: str) -> None:
    assert family_of(family_folder(case)).encode(sequence) == stock_esm(tmp_path)(sequence)["input_ids"]


@pytest.mark.skipif("esmc" not in CASES, reason="this transformers has no ESM-C")
@pytest.mark.parametrize("sequence", ["MKTAYIXUZOB", "M<mask>T"], ids=["unusual", "masked"])
def test_tokens_of_esmc_are_stocks(family_folder, sequence: str) -> None:
    assert family_of(family_folder("esmc")).encode(sequence) == transformers.EsmcTokenizer()(sequence)["input_ids"]


@pytest.mark.parametrize(
    ("case", "sequence", "given"),
    [("protbert", "MKUZOBX*", "M K X X X X X [MASK]"), ("antiberty", "MKUX*", "M K U X [MASK]")],
    ids=["protbert", "antiberty"],
)
def test_tokens_of_berts_are_stocks(family_folder, case: str, sequence: str, given: str) -> None:
    """Given as their model cards have it."""
    family = family_of(family_folder(case))
    tokens = BERT if case == "protbert" else ANTIBODY
    stock = transformers.BertTokenizer({token: number for number, token in enumerate(tokens)}, do_lower_case=False)
    assert family.encode(sequence) == stock(given)["input_ids"]


@pytest.mark.parametrize(
    ("case", "sequence", "given"),
    [("prott5", "MKUZOBX", "M K X X X X X"), ("ankh", "MKUZOBX", "M K U Z O B X")],
    ids=["prott5", "ankh"],
)
def test_tokens_of_t5s_are_stocks(family_folder, case: str, sequence: str, given: str) -> None:
    stock = transformers.T5Tokenizer(vocab=[(piece, 0.0) for piece in T5_PIECES], extra_ids=0)
    assert family_of(family_folder(case)).encode(sequence) == stock(given)["input_ids"]


@pytest.mark.parametrize("case", CASES)
def test_a_residue_is_a_token_between_special_ones(family_folder, case: str) -> None:
    family = family_of(family_folder(case))
    for sequence in SEQUENCES:
        tokens = family.encode(sequence)
        inside = tokens[family.residues(tokens)]
        assert len(inside) == len(sequence)
        assert tokens == [*family.prefix, *inside, *family.suffix]
    assert family.residue_ids == [family.vocabulary[letter] for letter in AMINO_ACIDS]
    assert len({*family.residue_ids, *family.prefix, *family.suffix, family.pad_id, family.mask_id}) == 20 + len(
        {*family.prefix, *family.suffix, family.pad_id, family.mask_id}
    )
    assert family.encode(STANDARD.lower()) == family.encode(STANDARD)
    with pytest.raises(InputError, match=r"'1' at position 3 is not a residue"):
        family.encode("MK1")


@pytest.mark.parametrize("case", ["prott5", "ankh"])
def test_an_encoder_has_no_mask(family_folder, case: str) -> None:
    with pytest.raises(InputError, match="position 2 is masked"):
        family_of(family_folder(case)).encode("M*T")


@pytest.mark.parametrize(
    ("case", "limit"), [("esm1", 36), ("protbert", 38), ("antiberty", 38), ("esm2", None), ("prott5", None)]
)
def test_as_many_residues_as_there_are_positions(family_folder, case: str, limit: int | None) -> None:
    """Of 40 positions; two of an ESM-1 are padding's, which its position ids leave out."""
    assert family_of(family_folder(case)).max_residues == limit


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert", "vocab_size": 30522},
        {"model_type": "t5", "vocab_size": 32128},
        {"model_type": "esm", "vocab_size": 4107, "position_embedding_type": "rotary"},
        {"model_type": "gpt2", "vocab_size": 33},
    ],
    ids=["english bert", "english t5", "nucleotides", "another kind"],
)
def test_what_is_of_no_family_is_refused(tmp_path: Path, config: dict) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"not a language model of proteins that is known here \(Ankh, AntiBERTy, ESM"):
        family_of(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "size", "said"), [("t5", 128, "neither spiece.model"), ("bert", 30, "neither vocab.txt")]
)
def test_a_vocabulary_that_nobody_knows_has_to_be_there(tmp_path: Path, model_type: str, size: int, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": size}))
    with pytest.raises(ModelError, match=said):
        family_of(tmp_path)


def test_the_vocabulary_of_the_folder_counts(tmp_path: Path) -> None:
    config = {"model_type": "esm", "vocab_size": 33, "position_embedding_type": "rotary"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert family_of(tmp_path).vocabulary["L"] == 4
    lines(tmp_path, (*ESM[:4], "A", "L", *ESM[6:]))
    assert family_of(tmp_path).vocabulary["L"] == 5
    lines(tmp_path, tuple(token for token in ESM if token != "W"))
    with pytest.raises(ModelError, match="a vocabulary without W"):
        family_of(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "spiece.model"])
def test_a_damaged_vocabulary_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'{"model": 1, \xff')
    with pytest.raises(ModelError, match=f"{name} holds no vocabulary that can be read"):
        read_vocabulary(tmp_path)


def test_a_letter_that_begins_a_word_comes_before_one_that_does_not(tmp_path: Path) -> None:
    pieces(tmp_path, ("<pad>", "A", "\u2581A", "\u2581"))
    assert read_vocabulary(tmp_path)["A"] == 2


def test_pieces_of_sentencepiece(tmp_path: Path) -> None:
    """Written by the library that ProtT5's was written by."""
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "corpus.txt").write_text("\n".join(" ".join(STANDARD) for _ in range(20)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "corpus.txt"),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=26,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    oracle = sentencepiece.SentencePieceProcessor(str(tmp_path / "spiece.model"))
    found = read_vocabulary(tmp_path)
    for letter in AMINO_ACIDS:
        assert found[letter] == oracle.encode(letter)[-1], letter
    assert (found["<pad>"], found["</s>"], found["<unk>"]) == (0, 1, 2)
    data = (tmp_path / "spiece.model").read_bytes()
    (tmp_path / "spiece.model").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"spiece\.model holds no vocabulary"):
        read_vocabulary(tmp_path)
