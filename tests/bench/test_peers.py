from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import EsmForProteinFolding

from lowmem_fold import load
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.bench.peers import PEERS, _no_bitsandbytes
from lowmem_fold.demo import MODEL_FOLDER
from lowmem_fold.errors import InputError

SEQUENCE = "MKTVWIEQLGHNAYFDPCSRMKTVWIEQLG"
CPU = torch.device("cpu")


def half_stem_folder(folder: Path) -> Path:
    """As the published model is: one `pytorch_model.bin`, the stem in float16, and a configuration that says so."""
    model = random_model(small_config())
    model.esm.half()
    folder.mkdir()
    model.config.esmfold_config.fp16_esm = True
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return half_stem_folder(tmp_path_factory.mktemp("peers") / "published")


@pytest.fixture(scope="module")
def expected(published: Path) -> dict:
    """Stock in float32, from a state dict rather than `from_pretrained`, and by its names."""
    config = small_config()
    model = EsmForProteinFolding(config).eval()
    model.load_state_dict(torch.load(published / "pytorch_model.bin"))
    return stock_outputs(model)


def stock_outputs(model: EsmForProteinFolding) -> dict:
    letters = "ARNDCQEGHILKMFPSTWYV"
    with torch.no_grad():
        o = model(torch.tensor([[letters.index(letter) for letter in SEQUENCE]]), num_recycles=1)
    return {
        "atom14": o.positions[-1, 0].numpy(),
        "plddt": 100 * o.plddt[0, :, 1].numpy(),
        "ptm": o.ptm.item(),
        "pae": o.predicted_aligned_error[0].numpy(),
        "distogram_logits": o.distogram_logits[0].numpy(),
    }


@pytest.mark.parametrize("name", [name for name in PEERS if not name.startswith("bitsandbytes")])
def test_peer_is_stock_but_for_its_precision(published: Path, expected: dict, name: str) -> None:
    fold = PEERS[name].load(published, "cpu")  # offloading from a CPU to itself is of no use, and works
    found = fold(SEQUENCE, 1)
    exact = name not in ("stock fp16 stem", "the article's recipe")
    for key in ("plddt", "pae", "distogram_logits"):
        assert found[key].shape == expected[key].shape
        off = np.abs(found[key] - expected[key]).max() / np.abs(expected[key]).max()
        assert off < 1e-5 if exact else 1e-7 < off < 0.3, key
    assert found["ptm"] == pytest.approx(expected["ptm"], rel=1e-5 if exact else 0.3)
    assert found["positions"].shape == (len(SEQUENCE), 37, 3)
    if exact:  # N, CA and C are the first three atoms in both orders; M, the first residue, has no CG1
        np.testing.assert_allclose(found["positions"][:, :3], expected["atom14"][:, :3], atol=1e-3)
    assert not found["positions"][0, 6].any()
    assert found["positions"][0, 5].any()


def test_outputs_are_those_of_a_folder() -> None:
    """The same quantities under the same names, in the same units, at a real protein's size of numbers."""
    found = PEERS["stock fp32"].load(MODEL_FOLDER, "cpu")(SEQUENCE, 1)
    ours = load("demo", device="cpu").fold(SEQUENCE, num_recycles=1, distogram=True)
    for key in ("positions", "plddt", "ptm", "pae", "distogram_logits"):
        np.testing.assert_allclose(found[key], getattr(ours, key), atol=2e-3, err_msg=key)
    assert 20 < found["plddt"].mean() < 100


def test_what_each_peer_holds_its_weights_in(published: Path) -> None:
    folds = {name: PEERS[name].load(published, "cpu") for name in PEERS if name != "accelerate cpu_offload"}
    stems = {name: fold.model.esm.embeddings.word_embeddings.weight.dtype for name, fold in folds.items()}
    assert {name for name, dtype in stems.items() if dtype == torch.float16} == {"stock fp16 stem"}
    trunks = {fold.model.trunk.recycle_z_norm.weight.dtype for fold in folds.values()}
    assert trunks == {torch.float32}
    stock, quanto, bitsandbytes = (
        folds[name].linear_layers
        for name in ("stock fp32", "the article's recipe", "bitsandbytes 8-bit through from_pretrained")
    )
    assert quanto == {"QLinear": sum(stock.values())}
    assert bitsandbytes == {"Linear8bitLt": stock["Linear"], "EsmFoldLinear": stock["EsmFoldLinear"]}
    chunks = {name: fold.model.trunk.chunk_size for name, fold in folds.items()}
    assert {name: size for name, size in chunks.items() if size} == {"stock chunk_size 64": 64}


def test_layers_that_quantizers_replace_in_the_demo_model() -> None:
    """The counts that `peers` tells."""
    counts = {
        name: PEERS[name].load(MODEL_FOLDER, "cpu").linear_layers
        for name in ("the article's recipe", "bitsandbytes 8-bit through from_pretrained")
    }
    assert list(counts.values()) == [{"QLinear": 201}, {"Linear8bitLt": 87, "EsmFoldLinear": 114}]


def test_the_published_configuration_fails_with_quanto(published: Path) -> None:
    """Why the recipe's stem is float32; when this passes, it need not be any more."""
    from transformers import QuantoConfig

    assert json.loads((published / "config.json").read_text())["esmfold_config"]["fp16_esm"]
    model = EsmForProteinFolding.from_pretrained(published, quantization_config=QuantoConfig(weights="int8"))
    with pytest.raises(RuntimeError, match="dtype"), torch.no_grad():
        model(torch.zeros(1, 8, dtype=torch.long))


# --- refusals


def test_only_bitsandbytes_and_offloading_refuse_a_cpu(published: Path) -> None:
    refused = {name: reason for name, peer in PEERS.items() if (reason := peer.refusal("cpu"))}
    assert refused.pop("accelerate cpu_offload") == (
        "offloading brings weights from main memory to a card; cpu has no memory of its own"
    )
    if not refused:
        return  # a version of bitsandbytes that can
    (reason,) = refused.values()
    assert "three dimensions on cpu (RuntimeError: " in reason
    fold = PEERS["bitsandbytes 8-bit through from_pretrained"].load(published, "cpu")
    with pytest.raises(RuntimeError):  # it would fail in the first fold
        fold(SEQUENCE, 0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'bitsandbytes'")

    monkeypatch.setattr("lowmem_fold.quantization.bnb.backend", missing)
    assert "pip install 'bitsandbytes>=0.49'" in (_no_bitsandbytes(CPU) or "")


@pytest.mark.parametrize(
    ("sequence", "message"),
    [("MKT:AAA", "folds one chain"), ("MKJ", "'J' in the sequence"), ("", "is empty")],
    ids=["chains", "letter", "empty"],
)
def test_what_stock_cannot_fold_is_refused(published: Path, sequence: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PEERS["stock fp32"].load(published, "cpu")(sequence, 0)
