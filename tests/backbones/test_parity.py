"""States and logits of every family beside those of stock transformers, on the same files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor
from transformers import AutoModelForMaskedLM, EsmForProteinFolding

import lowmem_fold
from lowmem_fold.backbones.backbone import Backbone
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.parity import LayerParity, Parity, compare_states, stock_states
from lowmem_fold.demo import MODEL_FOLDER
from lowmem_fold.errors import InputError
from lowmem_fold.quantization.registry import unavailable
from lowmem_fold.quantization.stored import StoredLinear
from tests.backbones.models import CASES, SEQUENCES

MASKED = [case for case in CASES if case not in ("esm2-alone", "prott5", "ankh")]


def states(backbone: Backbone, sequences: Sequence[str], layers: Sequence[int] | None = None) -> dict[int, Tensor]:
    """Of each layer, of the residues of all sequences, one after another."""
    tokens, found = [backbone.family.encode(sequence) for sequence in sequences], {}

    def receive(number: int, batch: Tensor) -> None:
        rows = [batch[row, backbone.family.residues(each)] for row, each in enumerate(tokens)]
        found[number] = torch.cat(rows).clone()

    backbone.hidden_states(tokens, range(backbone.num_layers + 1) if layers is None else layers, receive)
    return found


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()


@pytest.mark.parametrize("attention", ["auto", "eager"])
@pytest.mark.parametrize("case", CASES)
def test_states_of_all_layers_are_stocks(family_folder, case: str, attention: str) -> None:
    """Batched and padded; stock writes its attention out, which ours does not."""
    backbone = load_backbone(family_folder(case), device="cpu", attention=attention)
    assert (backbone.num_layers, backbone.width) == (3, 32)
    assert attention in ("auto", backbone.attention)
    report = compare_states(stock_states(family_folder(case)), backbone, SEQUENCES)
    assert [layer.layer for layer in report.layers] == [0, 1, 2, 3]
    assert report.relative_error < 1e-5 and report.cosine > 1 - 1e-9


@pytest.mark.parametrize("case", CASES)
def test_attention_is_fused_where_stock_has_it(family_folder, monkeypatch, case: str) -> None:
    """Once for each layer, whatever calls it."""
    backbone = load_backbone(family_folder(case), device="cpu")
    stock = getattr(transformers, backbone.config.architectures[0])
    if not stock._supports_sdpa:
        pytest.skip(f"transformers {transformers.__version__} has no SDPA for {stock.__name__}")
    calls, fused = [], F.scaled_dot_product_attention

    def counted(*tensors, **named):
        calls.append(1)
        return fused(*tensors, **named)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    states(backbone, SEQUENCES)
    assert (backbone.attention, backbone.describe()["attention"], len(calls)) == ("sdpa", "sdpa", 3)
    calls.clear()
    states(load_backbone(family_folder(case), device="cpu", attention="eager"), SEQUENCES)
    assert not calls


@pytest.mark.parametrize("case", CASES)
def test_a_batch_changes_no_state(family_folder, case: str) -> None:
    backbone = load_backbone(family_folder(case), device="cpu")
    together = states(backbone, SEQUENCES)
    alone = [states(backbone, [sequence]) for sequence in SEQUENCES]
    for number, found in together.items():
        assert relative(found, torch.cat([each[number] for each in alone])) < 1e-5, number


@pytest.mark.parametrize("case", MASKED)
def test_logits_are_stocks(family_folder, case: str) -> None:
    backbone = load_backbone(family_folder(case), device="cpu")
    assert backbone.masked_lm
    stock = AutoModelForMaskedLM.from_pretrained(family_folder(case), attn_implementation="eager").eval()
    tokens = [backbone.family.encode(sequence) for sequence in ("MK*AYIAKQRQ*SF", "GS*ML")]
    together = backbone.logits(tokens)
    for row, each in enumerate(tokens):
        with torch.no_grad():
            expected = stock(input_ids=torch.tensor([each])).logits[0]
        assert together.dtype == torch.float32
        assert torch.allclose(together[row, : len(each)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["esm2-alone", "prott5", "ankh"])
def test_an_encoder_has_no_logits(family_folder, case: str) -> None:
    backbone = load_backbone(family_folder(case), device="cpu")
    assert not backbone.masked_lm
    with pytest.raises(InputError, match="has no masked-language-model head"):
        backbone.logits([backbone.family.encode("MKT")])


def test_layers_are_run_as_far_as_they_are_wanted(family_folder) -> None:
    backbone = load_backbone(family_folder("esm2"), device="cpu")
    every, ran = states(backbone, SEQUENCES), []
    for number, layer in enumerate(backbone.model.esm.encoder.layer, start=1):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    for wanted, layers in (([0], []), ([2, 0], [1, 2]), ([3], [1, 2, 3])):
        ran.clear()
        found = states(backbone, SEQUENCES, wanted)
        assert list(found) == sorted(wanted) and ran == layers
        assert all(torch.equal(each, every[number]) for number, each in found.items())
    backbone.hidden_states([[5]], [], None)  # nothing is wanted, nothing is run
    assert ran == [1, 2, 3]


@pytest.mark.parametrize(
    ("case", "tokens", "layers", "said"),
    [
        ("esm2", [[5]], [4], "numbered from 0 to 3"),
        ("esm2", [[5]], [-1], "numbered from 0 to 3"),
        ("esm2", [], [1], "no sequence"),
        ("esm2", [[5], []], [1], "one of no tokens"),
        ("antiberty", [[5] * 41], [1], "39 residues: AntiBERTy has positions for 38"),
    ],
    ids=["layer", "negative", "none", "empty", "long"],
)
def test_what_cannot_be_run_is_refused(family_folder, case: str, tokens: list, layers: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_backbone(family_folder(case), device="cpu").hidden_states(tokens, layers, lambda number, states: None)


@pytest.mark.parametrize(
    ("case", "precision"),
    [
        *((case, "int8") for case in CASES),
        *((case, each) for case in ("esm2", "ankh") for each in ("fp16", "bf16", "int4", "float8", "bnb-nf4")),
    ],
)
def test_quantized_states_are_near_and_told_layer_by_layer(family_folder, case: str, precision: str) -> None:
    if reason := unavailable(precision, torch.device("cpu")):
        pytest.skip(reason)
    quantized = load_backbone(family_folder(case), precision, device="cpu")
    report = lowmem_fold.compare_states(lowmem_fold.stock_states(family_folder(case)), quantized, SEQUENCES)
    assert [layer.layer for layer in report.layers] == [0, 1, 2, 3]
    assert len(str(report).splitlines()) == 5
    bits = {"fp16": 11, "bf16": 8, "int8": 7, "int4": 2, "float8": 3, "bnb-nf4": 2}[precision]
    assert report.layers[0].relative_error == 0  # embeddings are as they were
    assert 2**-bits / 50 < report.relative_error < 8 * 2**-bits
    beside_ours = compare_states(load_backbone(family_folder(case), device="cpu"), quantized, SEQUENCES)
    assert report.relative_error == pytest.approx(beside_ours.relative_error, rel=1e-3)


@pytest.mark.parametrize("case", ["prott5", "ankh"])
def test_no_layer_of_a_t5_is_unpacked_for_its_dtype(family_folder, monkeypatch, case: str) -> None:
    monkeypatch.setattr(StoredLinear, "weight", property(lambda self: pytest.fail("a weight is unpacked whole")))
    states(load_backbone(family_folder(case), "fp16", device="cpu"), SEQUENCES)


def test_the_report_is_what_it_says() -> None:
    """Two residues of one sequence, worked out by hand."""

    class Family:
        def encode(self, sequence: str) -> list[int]:
            return [0, 1, 2]

        def residues(self, tokens: list[int]) -> slice:
            return slice(1, 3)

    class Other(Backbone):
        family, num_layers = Family(), 0

        def __init__(self) -> None:
            pass

        def hidden_states(self, token_lists, layers, receive) -> None:
            receive(0, torch.tensor([[[9.0, 9.0], [3.0, 4.5], [0.0, 2.0]]]))

    report = compare_states(lambda tokens: torch.tensor([[[[1.0, 1.0], [3.0, 4.0], [2.0, 0.0]]]]), Other(), ["MK"])
    (layer,) = report.layers
    cosine = (9 + 18) / (5 * 29.25**0.5)
    expected = LayerParity(0, 2**0.5, (0.1 + 2**0.5) / 2, 0.0, cosine / 2)
    for name in ("relative_error", "mean_relative_error", "cosine", "mean_cosine"):
        assert getattr(layer, name) == pytest.approx(getattr(expected, name)), name
    assert str(report).splitlines()[1].split() == ["0", "1.41e+00", "7.57e-01", "0.000000", f"{cosine / 2:.6f}"]
    worst = Parity((layer, LayerParity(1, 3.0, 3.0, 0.5, 0.5)))
    assert (worst.relative_error, worst.cosine) == (3.0, pytest.approx(0.0))


def test_different_models_are_not_compared(family_folder) -> None:
    with pytest.raises(InputError, match="these are different models"):
        compare_states(load_backbone("demo", device="cpu"), load_backbone(family_folder("esm2"), device="cpu"), ["MKT"])


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ({"a": "MK-"}, "sequence 'a': position 3: '-' is not an amino acid"),
        ([["MKT", "GS"]], "sequence 1 is a list: .*joined with ':'"),
        (["ACGT" * 4], "sequence 1: looks like DNA or RNA"),
        (None, "there are no sequences"),
    ],
    ids=["by-id", "list", "nucleotides", "none"],
)
def test_wrong_sequences(family_folder, sequences, message: str) -> None:
    backbone = load_backbone(family_folder("esm2"), device="cpu")
    with pytest.raises(InputError, match=message):
        compare_states(backbone, backbone, sequences)


def test_sequences_as_they_may_be_given(family_folder) -> None:
    backbone = load_backbone(family_folder("esm2"), device="cpu")
    expected = compare_states(backbone, backbone, ["MKTAY"])
    assert compare_states(backbone, backbone, "MKTAY") == expected
    assert compare_states(backbone, backbone, {"alpha": "MKTAY"}) == expected
    compare_states(backbone, backbone, ["ACGT" * 4], allow_nucleotide_letters=True)


def test_the_demos_stem_is_stocks() -> None:
    """ESM-2 8M with its real weights, fine-tuned; stock reads it as a part of the whole ESMFold."""
    backbone = load_backbone("demo", device="cpu")
    assert (backbone.family.name, backbone.num_layers, backbone.width) == ("ESM-2", 6, 320)
    stock = EsmForProteinFolding.from_pretrained(MODEL_FOLDER).float().esm.eval()
    tokens = [backbone.family.encode(sequence) for sequence in SEQUENCES]
    found = states(backbone, SEQUENCES)
    for row, each in enumerate(tokens):
        with torch.no_grad():
            expected = stock(torch.tensor([each]), torch.ones(1, len(each)), output_hidden_states=True).hidden_states
        start = sum(map(len, SEQUENCES[:row]))
        for number, one in enumerate(expected):
            rows = found[number][start : start + len(SEQUENCES[row])]
            assert relative(rows, one[0, 1:-1]) < 1e-5, (row, number)


def test_stock_cannot_read_a_quantized_folder(quantized_folder: Path) -> None:
    with pytest.raises(InputError, match="is quantized, and stock transformers cannot read it"):
        stock_states(quantized_folder)
