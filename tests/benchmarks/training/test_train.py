from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.training import parallel, schedule
from benchmarks.training.train import Settings, Sources, Trainer, _sources
from tests.benchmarks.training.tiny import SHAPE, tiny_model, write_chains

CLUSTERS, SPLITS = ["a", "b", "c", "d"], ["train", "train", "train", "val"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_chains(tmp_path / "chains.npz", [14, 10, 12, 11], CLUSTERS, SPLITS)
    return Settings(
        data=str(tmp_path / "chains.npz"), out=str(tmp_path / "run"), steps=6, batch=2, micro=1, warmup=2,
        crops="0:8,0.5:12", precision="fp32", log_every=1, validation_chains=1,
    )  # fmt: skip


def train_tiny(settings: Settings) -> None:
    Trainer(settings, SHAPE, tiny_model(noise=0.02)).run(_sources(settings, "train"), _sources(settings, "val"))


def _train(settings: Settings, stop_at: int | None = None) -> Trainer:
    trainer = Trainer(settings, SHAPE, tiny_model(noise=0.02))
    train_step = trainer.train_step

    def step(chains: Sources) -> dict[str, float]:
        record = train_step(chains)
        if trainer.step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return record

    trainer.train_step = step  # type: ignore[method-assign]
    before = signal.signal(signal.SIGTERM, trainer.stop)
    try:
        trainer.run(_sources(settings, "train"), _sources(settings, "val"))
    finally:
        signal.signal(signal.SIGTERM, before)
    return trainer


def test_a_run_stopped_and_resumed_ends_where_the_whole_run_does(settings: Settings) -> None:
    whole = _train(settings)
    halves = replace(settings, out=settings.out + "-halves")
    assert _train(halves, stop_at=2).step == 3  # it is asked between two steps: the next one is its last
    resumed = _train(halves)
    assert resumed.step == whole.step == 6
    for name, weight in whole.weights.items():
        assert torch.equal(weight, resumed.weights[name]), name
        assert torch.equal(whole.average[name], resumed.average[name]), name


def test_training_moves_every_part_and_leaves_the_stem(settings: Settings) -> None:
    start = {name: p.detach().clone() for name, p in tiny_model(noise=0.02).named_parameters()}
    trained = _train(settings).model
    changed = {name for name, p in trained.named_parameters() if not torch.equal(p, start[name])}
    assert not any(name.startswith("esm.") for name in changed)
    unused = {name for name in start if not name.startswith("esm.")} - changed
    assert all(name.startswith("lm_head.") for name in unused)  # no masked residues to predict


def test_the_log_is_json_lines(settings: Settings) -> None:
    _train(settings)
    records = [json.loads(line) for line in (Path(settings.out) / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert {record["recycles"] for record in records if record["kind"] == "validation"} == {0, 2}
    assert not list(Path(settings.out).glob(".checkpoint*"))


def test_side_chains_come_in_turn_and_are_scored(settings: Settings, tmp_path: Path) -> None:
    write_chains(tmp_path / "side.npz", [9, 11, 10], ["s", "t", "u"], ["train", "train", "val"], seed=1, chi=True)
    settings = replace(settings, side_chains=str(tmp_path / "side.npz"), side_chains_every=4)
    trainer = _train(settings)
    records = [json.loads(line) for line in (Path(settings.out) / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "chi" in r and r["kind"] == "train"] == [1, 3, 5]  # two chains a step
    assert all("chi" in r for r in records if r["kind"] == "validation")
    sources = _sources(settings, "train")
    lengths = [len(trainer._draw(sources, part, 100).sequence[0]) for part in (0, 4, 8, 12)]
    assert set(lengths) == {9, 11}


def test_two_processes_step_as_one_does(settings: Settings, tmp_path: Path) -> None:
    """The same windows in one process or in two give the same weights, up to the order of a sum."""
    settings = replace(settings, steps=3, batch=4)
    alone = _train(settings)
    together = replace(settings, out=settings.out + "-2", processes=2)
    parallel.launch(2, train_tiny, together)
    state = torch.load(Path(together.out) / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    for name, weight in alone.weights.items():
        torch.testing.assert_close(state["weights"][name], weight.detach(), rtol=0, atol=2e-4, msg=name)
    log = (Path(together.out) / "log.jsonl").read_text().splitlines()
    assert len([line for line in log if '"train"' in line]) == 3  # the first process alone writes


def test_a_run_begins_with_another_ones_averaged_weights(settings: Settings) -> None:
    first = _train(settings)
    second = replace(settings, out=settings.out + "-2", start=settings.out + "/checkpoint.pt")
    trainer = Trainer(second, SHAPE, tiny_model(seed=5))
    assert (trainer.step, trainer.seconds) == (0, 0.0)
    for name, weight in trainer.weights.items():
        assert torch.equal(weight, first.average[name]), name
    assert (Path(second.out) / "log.jsonl").read_text() == (Path(settings.out) / "log.jsonl").read_text()


def test_a_gradient_that_is_not_finite_is_dropped(settings: Settings) -> None:
    trainer = Trainer(settings, SHAPE, tiny_model(noise=0.02))
    before = {name: p.detach().clone() for name, p in trainer.weights.items()}
    for p in trainer.weights.values():
        p.grad = torch.full_like(p, float("nan"))
    trainer._update(1e-2)
    assert all(torch.equal(p, before[name]) for name, p in trainer.weights.items())


def test_schedules() -> None:
    rates = [schedule.learning_rate(1.0, step, 10, step / 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) > 0.95 and rates[-1] < 0.03
    crops = schedule.parse_crops("0:64,0.5:96")
    assert [schedule.window_length(crops, p) for p in (0.0, 0.49, 0.5, 1.0)] == [64, 64, 96, 96]
    assert {schedule.num_recycles(0, step, 0.01) for step in range(50)} == {0}
    assert {schedule.num_recycles(0, step, 0.9) for step in range(50)} == {0, 1, 2}
    assert set(schedule.fape_clamps(0, 0, 50, 0.0)) == {30.0}
    assert set(schedule.fape_clamps(0, 0, 50, 0.9)) == {10.0, 30.0}
