from __future__ import annotations

import json

import pytest
import torch

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.errors import InputError
from lowmem_fold.esmfold.modules import part_of
from lowmem_fold.precision import PARTS, PRESETS, Part, Precision, parse_precision

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
SPELLED = [
    "stem=int8,trunk=fp32,pair=bf16",
    "int8,pair=bf16",
    "stem=int4/bf16,pair-modules=fp16,operand=fp16",
    "float8,exclude=esm.encoder.layer.0.*,exclude=*.output.dense",
    "structure=bf16,include=trunk.structure_module.*",
]


@pytest.mark.parametrize("text", [*PRESETS, *SPELLED])
def test_prints_and_parses_and_round_trips_through_json(text: str) -> None:
    policy = parse_precision(text)
    assert parse_precision(str(policy)) == policy
    assert Precision.from_json(policy.to_json()) == policy
    assert Precision.from_dict(json.loads(policy.to_json())) == policy
    assert parse_precision(policy) is policy
    assert str(policy) == text or text in SPELLED


def test_spelled_out() -> None:
    policy = parse_precision("int8,trunk=fp32,stem=int4/bf16,pair=fp16")
    assert policy == Precision(stem=Part("int4", "bf16"), trunk=Part(), pair="fp16")
    assert policy.part("pair-modules") == Part() and policy.operand is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int9", "unknown precision 'int9'; choose from: fp32, .* Did you mean int8?"),
        ("pair=fp16,int8", "'int8' has to come first"),
        ("int8,foo=fp16", "unknown part 'foo'; choose from: language-model, sequence-track"),
        ("int8,trnk=fp16", "Did you mean trunk?"),
        ("stem=int9", "language-model can be fp32, fp16, bf16, int8"),
        ("stem=int8/int8", "language-model can be fp32, fp16, bf16, not 'int8'"),
        ("pair=int8", "pair-state can be fp32, fp16, bf16, not 'int8'"),
        ("operand=int8", "triangle-operand can be fp32, fp16, bf16, not 'int8'"),
        ("", "unknown precision ''; choose from"),
    ],
)
def test_what_is_not_known_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_precision(text)


@pytest.mark.parametrize("text", ["[]", "{", '{"stem": "int8"}', '{"stom": {}}', '{"pair": "int8"}', "null"])
def test_json_that_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="precision"):
        Precision.from_json(text)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_leave_all_but_stem_and_sequence_track_alone(preset: str) -> None:
    policy = PRESETS[preset]
    assert policy.pair_modules == policy.structure == Part() and (policy.pair, policy.operand) == ("fp32", None)
    assert policy.stem.weights == preset
    assert policy.trunk.weights == (preset if preset != "fp16" else "fp32")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_cpu_computes_in_float32(preset: str) -> None:
    resolved = PRESETS[preset].resolve(CPU)
    assert {resolved.part(name).compute for name in PARTS} <= {None, "fp32"}
    assert (resolved == PRESETS[preset]) == (preset == "fp32")


@pytest.mark.parametrize(
    ("preset", "stem", "trunk"),
    [("fp16", "fp16", None), ("int8", "fp16", "fp32"), ("bnb-nf4", "fp16", "fp32"), ("bf16", "bf16", "bf16")],
)
def test_a_card_computes_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, preset: str, stem: str, trunk: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    resolved = PRESETS[preset].resolve(CUDA)
    assert (resolved.stem.compute, resolved.trunk.compute) == (stem, trunk)
    assert resolved.structure == Part()


@pytest.mark.parametrize("text", ["bf16", "int8,pair=bf16", "operand=bf16", "stem=int8/bf16"])
def test_turing_has_no_bf16(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(InputError, match="Tesla T4 has no bf16"):
        parse_precision(text).resolve(CUDA)
    parse_precision("int8,pair=fp16").resolve(CUDA)


def test_mps_has_no_float8() -> None:
    with pytest.raises(InputError, match="mps has no float8"):
        parse_precision("float8").resolve(MPS)


def test_globs_choose_layers() -> None:
    policy = parse_precision("int8,include=esm.*,exclude=esm.encoder.layer.0.*")
    assert policy.of_linear("esm.encoder.layer.1.output.dense", "stem").weights == "int8"
    assert policy.of_linear("esm.encoder.layer.0.output.dense", "stem").weights == "fp32"
    assert policy.of_linear("trunk.blocks.0.mlp_seq.mlp.1", "trunk").weights == "fp32"


def test_every_module_has_its_part() -> None:
    model = random_model(small_config())
    weights = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        weights[part_of(name.rpartition(".")[0] or name)] += parameter.numel()
    of = {part: {n for n, _ in model.named_modules() if n and part_of(n) == part} for part in PARTS}
    assert all(weights.values()) and sum(weights.values()) == sum(p.numel() for p in model.parameters())
    assert {n for n in of["stem"] if not n.startswith("esm")} == set()
    for name in ("seq_attention.proj", "mlp_seq.mlp.1", "layernorm_1"):
        assert f"trunk.blocks.0.{name}" in of["trunk"]
    for name in ("tri_mul_out.linear_z", "mlp_pair.mlp.1", "sequence_to_pair.proj", "pair_to_sequence.linear"):
        assert f"trunk.blocks.0.{name}" in of["pair-modules"]
    for name in ("trunk.structure_module.ipa", "ptm_head", "distogram_head", "lddt_head.0", "trunk.trunk2sm_z"):
        assert name in of["structure"]


def test_words_in_any_case_and_by_their_longer_names() -> None:
    assert parse_precision("INT8") == parse_precision("int8")
    long = "Language-Model=int8, sequence-track=FP16,pair-state=bf16,triangle-operand=fp16,exclude=esm.Layer.*"
    assert parse_precision(long) == parse_precision("stem=int8,trunk=fp16,pair=bf16,operand=fp16,exclude=esm.Layer.*")
