from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, EsmForProteinFolding

from benchmarks.training.export import write_folder, write_log
from lowmem_fold.demo import MODEL_FOLDER
from tests.benchmarks.training.tiny import tiny_model


def test_a_written_folder_loads_in_stock_with_the_same_weights(tmp_path: Path) -> None:
    model = tiny_model()
    model.esm.half()
    write_folder(model, tmp_path / "model")
    loaded = EsmForProteinFolding.from_pretrained(tmp_path / "model")
    for (name, mine), theirs in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert mine.dtype == theirs.dtype and torch.equal(mine, theirs), name


def test_the_folder_is_replaced_whole_and_keeps_its_card(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_folder(tiny_model(0), folder)
    (folder / "README.md").write_text("card")
    write_folder(tiny_model(1), folder)
    assert (folder / "README.md").read_text() == "card"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    loaded = EsmForProteinFolding.from_pretrained(folder)
    torch.testing.assert_close(loaded.trunk.trunk2sm_s.weight, tiny_model(1).trunk.trunk2sm_s.weight)


def test_the_log_comes_along_without_the_places_of_a_machine(tmp_path: Path) -> None:
    start = {"step": 0, "kind": "start", "settings": {"data": "/home/me/chains.npz", "side_chains": "", "rate": 0.1}}
    train = {"step": 1, "kind": "train", "fape": 1.5}
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(start)}\n{json.dumps(train)}\n")
    write_log(tmp_path / "log.jsonl", tmp_path)
    first, second = map(json.loads, (tmp_path / "training.jsonl").read_text().splitlines())
    assert first["settings"] == {"data": "chains.npz", "side_chains": "", "rate": 0.1}
    assert second == train


@pytest.fixture(scope="module")
def shipped() -> EsmForProteinFolding:
    return EsmForProteinFolding.from_pretrained(MODEL_FOLDER).eval()


def test_the_shipped_model_keeps_its_precisions(shipped: EsmForProteinFolding) -> None:
    kinds = {(name.split(".")[0] == "esm", p.dtype) for name, p in shipped.named_parameters()}
    assert kinds == {(True, torch.float16), (False, torch.float32)}


def test_the_shipped_model_folds_in_float32(shipped: EsmForProteinFolding) -> None:
    tokens = AutoTokenizer.from_pretrained(MODEL_FOLDER)(
        ["GSHMKKVLITGASRGIGRAIAEAL"], return_tensors="pt", add_special_tokens=False
    )
    with torch.no_grad():
        output = shipped.float()(**tokens, num_recycles=1)
    assert output.positions.dtype == torch.float32
    ca = output.positions[-1, 0, :, 1]
    spacing = (ca[1:] - ca[:-1]).norm(dim=-1)
    assert torch.isfinite(output.positions).all()
    assert (spacing - 3.8).abs().median() < 0.5
    assert 0 < float(output.ptm) < 1


def test_the_tokenizer_gives_alphafolds_order() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_FOLDER)
    assert tokenizer(["ARNDCQEGHILKMFPSTWYVX"], add_special_tokens=False)["input_ids"] == [list(range(21))]


def test_the_shipped_folder_is_small_and_says_whose_it_is() -> None:
    assert sum(path.stat().st_size for path in MODEL_FOLDER.iterdir()) <= 25e6
    assert "GNU General Public License" in " ".join((MODEL_FOLDER / "NOTICE").read_text().split())
    assert "GNU GENERAL PUBLIC LICENSE" in (MODEL_FOLDER / "LICENSE").read_text()
