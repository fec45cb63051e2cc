"""Train the demo model: `python -m benchmarks.training.train --data chains.npz --stem ESM-2-folder --out runs/demo`.

Started again on the same folder it goes on from the last checkpoint; SIGTERM and Ctrl-C save one first. A run ends
after `--minutes` of training (counted over all starts), or after `--steps` if given. The log is JSON lines; its losses
are those of the first process's windows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import EsmForProteinFolding

from . import parallel, schedule
from .architecture import Shape, build
from .data import Batch, Chains, draw_batch
from .forward import Output, fold, stem_states
from .losses import losses, total
from .validation import truth_of, validate

__all__ = ["Settings", "Trainer", "main"]


class Sources(NamedTuple):
    """Chains to draw from."""

    backbones: Chains
    side_chains: Chains | None = None


@dataclass(frozen=True)
class Settings:
    """How to train; each field is an option of the command line."""

    data: str = "backbones.npz"  # the file that prepare writes
    side_chains: str = ""  # the other file that prepare writes; none: chi angles are not trained
    side_chains_every: int = 8  # one chain in so many is of that file
    stem: str = "esm2_t6_8M_UR50D"  # folder of ESM-2 8M in the Hugging Face layout
    out: str = "runs/demo"  # folder of checkpoint and log
    start: str = ""  # checkpoint of another run, whose averaged weights are the start of this one
    minutes: float = 90.0  # length of the schedule in minutes of training
    steps: int = 0  # length of the schedule in steps; 0: by minutes
    batch: int = 4  # chains of a step
    micro: int = 1  # chains folded at once; a CPU's cache likes 1, a GPU many
    rate: float = 1e-3  # peak learning rate
    warmup: int = 200  # steps
    decay: float = 0.01  # weight decay of matrices
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.999  # decay of the averaged weights
    crops: str = "0:64,0.5:96,0.85:128"  # window length by progress
    precision: str = "bf16"  # of the trunk's products: bf16 or fp32
    device: str = "cpu"
    processes: int = 1  # each folds a share of a step's chains
    seed: int = 0
    log_every: int = 20  # steps
    save_minutes: float = 5.0
    validate_minutes: float = 10.0
    validation_chains: int = 32


class Trainer:
    """The state of a run, and a step of it."""

    def __init__(self, settings: Settings, shape: Shape | None = None, model: EsmForProteinFolding | None = None):
        self.settings = settings
        self.device = torch.device(settings.device)
        self.folder = Path(settings.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.shape = shape or Shape()
        self.model = (model or build(self.shape, settings.stem)).to(self.device).eval()
        self.weights = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.weights.items()}
        self.optimizer = _optimizer(self.weights.values(), settings)
        self.crops = schedule.parse_crops(settings.crops)
        self.step, self.seconds = 0, 0.0
        self._asked_to_stop = self._stopped = False  # one process is asked, all of them stop, after the same step
        if (self.folder / "checkpoint.pt").exists():
            self.load()
        elif settings.start:
            self._begin_with(Path(settings.start))

    @property
    def progress(self) -> float:
        """How much of the schedule is done, 0 to 1."""
        if self.settings.steps:
            return self.step / self.settings.steps
        return self.seconds / 60 / self.settings.minutes

    def stop(self, *_: object) -> None:
        """Ask the run to save and end after the step in flight (also the handler of SIGTERM)."""
        self._asked_to_stop = True

    def save(self) -> None:
        """Write the checkpoint, whole or not at all (the first process alone, as everything that writes)."""
        if parallel.rank():
            return
        state = {
            "weights": {name: p.detach() for name, p in self.weights.items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "shape": asdict(self.shape),
        }
        temporary = self.folder / f".checkpoint.{os.getpid()}"
        torch.save(state, temporary)
        os.replace(temporary, self.folder / "checkpoint.pt")

    def load(self) -> None:
        """Go on from the folder's checkpoint."""
        state = torch.load(self.folder / "checkpoint.pt", map_location=self.device, weights_only=True)
        self._assign(state["weights"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _begin_with(self, checkpoint: Path) -> None:
        """Take over another run's averaged weights, and its log as the first part of this one's."""
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        self._assign(state["average"])
        self.average = state["average"]
        log = checkpoint.with_name("log.jsonl")
        if log.exists() and not parallel.rank():
            shutil.copyfile(log, self.folder / "log.jsonl")

    def log(self, record: dict) -> None:
        """Append a line to the log."""
        if parallel.rank():
            return
        line = {
            "step": self.step,
            "minutes": round(self.seconds / 60, 2),
            "progress": round(self.progress, 4),
            **record,
        }
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def run(self, chains: Sources, held_out: Sources) -> None:
        """Train to the end of the schedule, or until stopped."""
        saved = validated = self.seconds
        window: list[dict[str, float]] = []
        while self.progress < 1 and not self._stopped:
            window.append(self.train_step(chains))
            if self.step % self.settings.log_every == 0:
                self.log({"kind": "train", **_means(window)})
                window.clear()
            if self.seconds - validated > 60 * self.settings.validate_minutes:
                validated = self.seconds
                self.validate(held_out)
            if self.seconds - saved > 60 * self.settings.save_minutes:
                saved = self.seconds
                self.save()
        self.save()
        if not self._stopped:
            self.validate(held_out)

    def train_step(self, chains: Sources) -> dict[str, float]:
        """One step of the optimizer on a batch; returns the mean losses and the gradient's norm."""
        began = time.perf_counter()
        settings, progress = self.settings, self.progress
        crop = schedule.window_length(self.crops, progress)
        recycles = schedule.num_recycles(settings.seed, self.step, progress)
        rate = schedule.learning_rate(settings.rate, self.step, settings.warmup, progress)
        parts = settings.batch // settings.micro
        records = []
        for part in range(self.step * parts + parallel.rank(), (self.step + 1) * parts, parallel.size()):
            batch = self._draw(chains, part, crop)
            clamp = torch.tensor(
                schedule.fape_clamps(settings.seed, part, settings.micro, progress), device=self.device
            )
            terms = self._losses(batch, recycles, clamp)
            (total(terms, schedule.clash_scale(progress)) / parts).backward()
            records.append({name: float(value.detach()) for name, value in terms.items()})
        parallel.add_gradients(self.weights.values())
        norm = self._update(rate)
        self._count(time.perf_counter() - began)
        return {**_means(records), "norm": norm, "rate": rate, "crop": crop, "recycles": recycles}

    def _count(self, seconds: float) -> None:
        """Count a step and its time, but not the time for which the process or its machine was asleep."""
        usual = self.seconds / self.step if self.step else seconds
        self.seconds, stopped = parallel.agree(self.seconds + min(seconds, 10 * usual), self._asked_to_stop)
        self._stopped = bool(stopped)
        self.step += 1

    def _draw(self, chains: Sources, part: int, crop: int) -> Batch:
        """A part of a step's chains: now and then one with side chains."""
        source, every = chains.backbones, self.settings.side_chains_every
        if chains.side_chains is not None and part % every == 0:
            source, part = chains.side_chains, part // every
        batch = draw_batch(source, step=part, size=self.settings.micro, crop=crop, seed=self.settings.seed)
        return batch.to(self.device)

    def _losses(self, batch: Batch, recycles: int, clamp: Tensor) -> dict[str, Tensor]:
        return losses(self.predict(batch, recycles), truth_of(batch), clamp)

    def predict(self, batch: Batch, recycles: int) -> Output:
        """Fold a batch's windows under the run's precision; the heads' results are float32."""
        half = self.settings.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext():
            states = batch.window(stem_states(self.model, batch.sequence, batch.sequence_mask))
            index = torch.arange(batch.mask.shape[1], device=self.device).expand(batch.mask.shape)
            return fold(self.model, states, batch.window(batch.sequence), index, batch.mask, recycles)

    def _update(self, rate: float) -> float:
        """Clip, step, average; returns the gradient's norm. A gradient that is not finite is dropped.

        The structure module, whose bonds and clashes pull hard, is clipped by itself: else it would silence the trunk.
        """
        norms = [torch.nn.utils.clip_grad_norm_(part, self.settings.clip) for part in _clipped_together(self.weights)]
        norm = math.hypot(*map(float, norms))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.values()), [p.detach() for p in self.weights.values()], 1 - keep)
        return norm

    def validate(self, held_out: Sources) -> None:
        """Log how the averaged weights do on chains of clusters that are not trained on."""
        if parallel.rank():
            return
        trained = {name: p.detach().clone() for name, p in self.weights.items()}
        self._assign(self.average)
        for recycles in (0, 2):
            scores: dict[str, float] = {}
            for chains in filter(None, reversed(held_out)):  # of what both give, the backbones' count
                predict = partial(self.predict, recycles=recycles)
                scores |= validate(predict, chains, self.settings.validation_chains, device=self.device)
            self.log({"kind": "validation", "recycles": recycles, **scores})
        self._assign(trained)

    @torch.no_grad()
    def _assign(self, weights: dict[str, Tensor]) -> None:
        for name, p in self.weights.items():
            p.copy_(weights[name])


def _clipped_together(weights: dict[str, nn.Parameter]) -> list[list[nn.Parameter]]:
    inside = {name for name in weights if ".structure_module." in name}
    return [[p for name, p in weights.items() if (name in inside) == part] for part in (True, False)]


def _optimizer(weights: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    weights = list(weights)
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.99), eps=1e-8)


def _means(records: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each value over the records that have it."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: round(mean(record[name] for record in records if name in record), 5) for name in names}


def _settings(arguments: list[str] | None) -> Settings:
    summary, details = (__doc__ or "").split("\n\n", 1)
    parser = argparse.ArgumentParser(description=summary, epilog=details)
    for field in fields(Settings):
        kind = {"str": str, "int": int, "float": float}[str(field.type)]
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help="(%(default)s)")
    return Settings(**vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> None:
    """Run the training from the command line."""
    settings = _settings(arguments)
    if settings.batch % settings.micro or settings.batch // settings.micro < settings.processes:
        raise SystemExit("error: --batch must be a multiple of --micro, with a part for each process")
    if settings.precision not in ("bf16", "fp32"):
        raise SystemExit(f"error: --precision is bf16 or fp32, not {settings.precision}")
    parallel.launch(settings.processes, _train, settings)


def _train(settings: Settings) -> None:
    trainer = Trainer(settings)
    for number in (signal.SIGTERM, signal.SIGINT):  # the first process tells the others
        signal.signal(number, signal.SIG_IGN if parallel.rank() else trainer.stop)
    trainer.log({"kind": "start", "settings": asdict(settings), "shape": asdict(trainer.shape)})
    trainer.run(_sources(settings, "train"), _sources(settings, "val"))


def _sources(settings: Settings, split: str) -> Sources:
    side_chains = Chains(settings.side_chains, split) if settings.side_chains else None
    return Sources(Chains(settings.data, split), side_chains)


if __name__ == "__main__":
    main()
