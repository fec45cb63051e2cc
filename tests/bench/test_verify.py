from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lowmem_fold import load
from lowmem_fold.bench.accuracy import against_experiment, compare
from lowmem_fold.bench.chains import known_chains
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.bench.peers import PEERS, Peer
from lowmem_fold.bench.verify import LIMITS, NUM_RECYCLES, PEER, Verified, verify
from lowmem_fold.checkpoints import loader
from lowmem_fold.errors import InputError

CHAINS = known_chains()[:1]


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rotary frequencies are rounded, as those of the published one."""
    model = random_model(small_config())
    for name, buffer in model.named_buffers():
        if name.endswith("inv_freq"):
            buffer.copy_(buffer.half())
    folder = tmp_path_factory.mktemp("verify") / "rounded"
    model.save_pretrained(folder)
    return folder


def verified(folder: Path, *precisions: str) -> Verified:
    return verify(str(folder), "cpu", precisions, CHAINS, lambda line: None)


@pytest.fixture(scope="module")
def sound_run(rounded: Path) -> Verified:
    return verified(rounded, "int8")


def test_ours_is_stocks(sound_run: Verified) -> None:
    assert sound_run.holds
    assert not sound_run.excesses
    assert [m.requested["code"] for m in sound_run.measurements] == [PEER, "lowmem_fold", "lowmem_fold"]
    assert [m.requested["precision"] for m in sound_run.measurements] == [None, "fp32", "int8"]
    assert {m.status for m in sound_run.measurements} == {"ok"}
    for name in LIMITS:
        assert len(sound_run.reference.samples[name]) == len(CHAINS)
    assert sound_run.reference.samples["one_pass_ca_rmsd_angstrom"][0] > 0


def test_samples_are_those_of_folding_by_hand(sound_run: Verified, rounded: Path) -> None:
    (chain,) = CHAINS
    outputs = {}
    for precision in ("fp32", "int8"):
        folded = load(str(rounded), precision=precision, device="cpu").fold(
            chain.sequence, num_recycles=NUM_RECYCLES, distogram=True
        )
        outputs[precision] = {
            key: getattr(folded, key) for key in ("positions", "plddt", "ptm", "pae", "distogram_logits")
        }
    expected = {f"fp32_{name}": [value] for name, value in compare(outputs["int8"], outputs["fp32"]).items()} | {
        f"experiment_{name}": [value] for name, value in against_experiment(outputs["int8"], chain).items()
    }
    found = sound_run.precisions[0].samples
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-6), name
    assert found["fp32_ca_rmsd_angstrom"][0] > 0.01


def test_another_model_than_stocks_is_found_out(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest of differences that there once was: rotary frequencies worked out anew."""
    monkeypatch.setattr(loader, "_as_trained", lambda name, key, buffer, files: buffer)
    found = verified(rounded)
    assert found.is_compared
    assert not found.holds
    assert {"one_pass_ca_rmsd_angstrom", "one_pass_largest_pae_difference_angstrom"} <= found.excesses.keys()


def test_what_does_not_fit_is_left_out_and_told(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowmem_fold.planning.cards.stock_bytes", lambda family, chunk_size: lambda length: 1e15)
    found = verified(rounded, "int8")
    assert found.stock.status == "refused"
    assert "stock transformers needs about" in (found.stock.reason or "")
    assert not found.is_compared and not found.holds
    assert found.precisions[0].samples["fp32_tm_score"][0] > 0.1
    assert not set(LIMITS) & found.reference.samples.keys()


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (lambda folder: MemoryError("no more"), "oom", "MemoryError: no more"),
        (lambda folder: InputError(f"{folder}/config.json is odd"), "refused", "rounded/config.json is odd"),
        (lambda folder: KeyError(str(Path.home() / "x")), "failed", "KeyError: '~/x'"),
    ],
    ids=["memory", "refusal", "failure"],
)
def test_what_goes_wrong_with_stock_is_a_record_without_paths(
    rounded: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[Path], Exception],
    status: str,
    reason: str,
) -> None:
    def fail(folder: Path, device: torch.device) -> torch.nn.Module:
        raise error(folder)

    monkeypatch.setitem(PEERS, PEER, Peer(fail, lambda device: None))
    found = verified(rounded)
    assert (found.stock.status, found.stock.reason) == (status, reason)
    assert found.reference.status == "ok"
    assert not found.holds


def test_a_fold_that_is_not_finite_does_not_hold(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PEERS[PEER]

    def broken(folder: Path, device: torch.device) -> torch.nn.Module:
        model = made.prepared(folder, device)
        model.trunk.structure_module.bb_update.linear.bias.fill_(np.nan)
        return model

    monkeypatch.setitem(PEERS, PEER, Peer(broken, lambda device: None))
    found = verified(rounded)
    assert "not finite" in (found.stock.reason or "")
    assert not found.holds


def test_records_tell_nothing_of_the_machine_but_what_it_is(sound_run: Verified, rounded: Path) -> None:
    for measurement in sound_run.measurements:
        line = measurement.to_line()
        assert str(rounded) not in line and str(rounded.parent) not in line
        assert str(Path.home()) not in line
        assert json.loads(line)["requested"]["model"] == "rounded"
        assert len(json.loads(line)["resolved"]["fingerprint"]) == 16
