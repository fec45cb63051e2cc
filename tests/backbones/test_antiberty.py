"""AntiBERTy with its published weights, from the wheel antiberty-0.1.3 (MIT), which is not installed.

`pip download --no-deps antiberty==0.1.3 -d FOLDER`, and LOWMEM_FOLD_TEST_WHEELS=FOLDER.
"""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path

import pytest

from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.parity import compare_states, stock_states

WHEEL = "antiberty-0.1.3-py3-none-any.whl"
MODEL = "antiberty/trained_models/AntiBERTy_md_smooth"
#: Variable domains of trastuzumab, of PDB entry 1N8Z.
HEAVY = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFNIKDTYIHWVRQAPGKGLEWVARIYPTNGYTRYADSVKG"
    "RFTISADTSKNTAYLQMNSLRAEDTAVYYCSRWGGDGFYAMDYWGQGTLVTVSS"
)
LIGHT = "DIQMTQSPSSLSASVGDRVTITCRASQDVNTAVAWYQQKPGKAPKLLIYSASFLYSGVPSRFSGSRSGTDFTLTISSLQPEDFATYYCQQHYTTPPTFGQGTKVEIK"
pytestmark = pytest.mark.skipif(
    not (Path(os.environ.get("LOWMEM_FOLD_TEST_WHEELS", "")) / WHEEL).is_file(),
    reason=f"needs {WHEEL} in the folder that LOWMEM_FOLD_TEST_WHEELS names",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("antiberty")
    with zipfile.ZipFile(Path(os.environ["LOWMEM_FOLD_TEST_WHEELS"]) / WHEEL) as wheel:
        for name in ("config.json", "pytorch_model.bin"):
            wheel.extract(f"{MODEL}/{name}", unpacked)
    return unpacked / MODEL


def test_states_are_stocks(folder: Path) -> None:
    backbone = load_backbone(folder, device="cpu")
    assert (backbone.family.name, backbone.family.max_residues) == ("AntiBERTy", 510)
    assert compare_states(stock_states(folder), backbone, [HEAVY, LIGHT]).relative_error < 1e-5


@pytest.mark.parametrize(("precision", "most"), [("fp32", 0), ("bf16", 0.02), ("int8", 0.05)])
def test_it_knows_what_every_antibody_has(folder: Path, precision: str, most: float) -> None:
    """The cysteines of both domains' disulphides, and the tryptophan between them; at any precision."""
    backbone = load_backbone(folder, precision, device="cpu")
    family = backbone.family
    for sequence, places in ((HEAVY, "CWC"), (LIGHT, "CWC")):
        first, last = sequence.index("C"), sequence.rindex("C")
        middle = sequence.index("W", first + 10)
        for place, residue in zip((first, middle, last), places, strict=True):
            masked = family.encode(sequence[:place] + "*" + sequence[place + 1 :])
            logits = backbone.logits([masked])[0, len(family.prefix) + place]
            assert logits[family.residue_ids].argmax().item() == sorted(family.residue_ids).index(
                family.vocabulary[residue]
            )
    if precision != "fp32":
        report = compare_states(load_backbone(folder, device="cpu"), backbone, [HEAVY, LIGHT])
        assert 0 < report.relative_error < most


def test_it_tells_an_antibody_from_its_residues_in_another_order(folder: Path) -> None:
    backbone = load_backbone(folder, device="cpu")
    start = LIGHT[:25]
    shuffled = "".join(random.Random(0).sample(start, len(start)))
    own, other = (each.pseudo_perplexity for each in backbone.score([start, shuffled]))
    assert own < 3 and other > 10
    scores = {each.variant: each.score for each in backbone.score_mutations(LIGHT, ["C23A", "W35A", "C23A:W35A"])}
    assert max(scores.values()) < -5 and scores["C23A:W35A"] < min(scores["C23A"], scores["W35A"])


def test_it_mends_an_antibody(folder: Path) -> None:
    backbone = load_backbone(folder, device="cpu")
    gap = slice(20, 26)
    (mended,) = backbone.generate(LIGHT[: gap.start] + "*" * 6 + LIGHT[gap.stop :], temperature=0)
    assert mended.sequence == LIGHT
