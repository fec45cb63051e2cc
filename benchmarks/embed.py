"""Embedding many sequences, beside a plain loop over stock transformers. `python -m benchmarks.embed`

An ESM-2 of the 8M one's shape with random weights, 32 random sequences whose lengths `data/embed_lengths.txt` holds,
the mean over the residues of the last layer. The loop takes them as they come, fills a batch up as long as the padded
tokens keep to the same budget, and runs it. `results/embed.jsonl` has for each precision

- `embed-speed`: both ways in one process, by turns: seconds and processor's seconds of each pass over all sequences,
  residues per second without padding and special tokens (stock's as `stock_...`), and how far the first vectors are
  from stock's in fp32, the largest difference over the largest value;
- `embed-memory`: each way in a process of its own: the highest resident set of a pass above that of the loaded model.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, EsmConfig, EsmModel, QuantoConfig

from lowmem_fold.backbones.families.esm2 import TOKENS
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement, read_measurements
from lowmem_fold.memory.meters import peak_meter
from lowmem_fold.sequences.residues import RESIDUE_LETTERS

LENGTHS = Path(__file__).parent / "data" / "embed_lengths.txt"
RESULTS = Path(__file__).parent / "results" / "embed.jsonl"
WAYS = ("stock", "lowmem_fold")
PRECISIONS = ("fp32", "bf16", "stem=bf16/bf16", "int8")  # bf16 is stored, and on a CPU computed in fp32
MAX_TOKENS = 4096  # what esm-extract takes where nothing else is asked for
REPEATS = 3
Run = Callable[[Sequence[str]], Tensor]
SHAPE = {"hidden_size": 320, "num_hidden_layers": 6, "num_attention_heads": 20, "intermediate_size": 1280}


def read_lengths(path: Path = LENGTHS) -> list[int]:
    """Residues of each sequence, in the order of the input."""
    return [int(line) for line in path.read_text().split()]


def make_sequences(lengths: Sequence[int]) -> list[str]:
    """Random ones: no two are the same."""
    draw = random.Random(0)
    return ["".join(draw.choices(RESIDUE_LETTERS[:20], k=length)) for length in lengths]


def write_model(folder: Path, **shape: int) -> None:
    """An ESM-2 of random weights with its vocabulary, as a folder that both ways read."""
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=len(TOKENS),
        pad_token_id=TOKENS.index("<pad>"),
        mask_token_id=TOKENS.index("<mask>"),
        position_embedding_type="rotary",
        token_dropout=True,
        max_position_embeddings=1026,
        **(shape or SHAPE),
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(TOKENS))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer"}')


# --- two ways


def stock(folder: Path, precision: str) -> tuple[Run, dict[str, Any]]:
    """The loop that a tutorial has: tokenizer, padding, attention mask, mean over the residues."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    how: dict[str, Any] = {"dtype": torch.bfloat16 if "bf16" in precision else torch.float32}
    if precision == "int8":
        how["quantization_config"] = QuantoConfig(weights="int8")
    model = EsmModel.from_pretrained(folder, add_pooling_layer=False, **how).eval()

    def run(sequences: Sequence[str]) -> Tensor:
        vectors: list[Tensor] = []
        for batch in unsorted_batches(sequences):
            tokens = tokenizer(batch, return_tensors="pt", padding=True)
            with torch.no_grad():
                states = model(**tokens).last_hidden_state
            each = zip(states, batch, strict=True)
            vectors += [state[1 : len(sequence) + 1].float().mean(0) for state, sequence in each]
        return torch.stack(vectors)

    return run, {"attention": model.config._attn_implementation, "dtype": str(model.dtype)}


def unsorted_batches(sequences: Sequence[str], max_tokens: int = MAX_TOKENS) -> Iterator[list[str]]:
    """In the order given, as long as a batch keeps to the budget, padding included."""
    batch: list[str] = []
    for sequence in sequences:
        longest = max(len(each) + 2 for each in [*batch, sequence])
        if batch and longest * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(sequence)
    yield batch


def ours(folder: Path, precision: str) -> tuple[Run, dict[str, Any]]:
    """`Backbone.embed` with the same budget."""
    from lowmem_fold import load_backbone

    backbone = load_backbone(folder, precision, device="cpu")

    def run(sequences: Sequence[str]) -> Tensor:
        found = backbone.embed(sequences, pool="mean", max_tokens=MAX_TOKENS)
        return torch.from_numpy(np.stack([embedding.pooled for embedding in found]))

    about = backbone.describe()
    return run, {name: about[name] for name in ("attention", "resolved_precision", "placement")}


def speed(folder: Path, precision: str, repeats: int = REPEATS) -> Measurement:
    """Both ways in this process, by turns: what else the machine does falls on both."""
    sequences = make_sequences(read_lengths())
    made = {"stock_": stock(folder, precision), "": ours(folder, precision)}
    samples: dict[str, list[float]] = {}
    for run, _ in made.values():
        run(sorted(sequences, key=len)[:2])  # what is imported and set up at first is no part of a pass
    for _ in range(repeats):
        for name, (run, _) in made.items():
            for key, value in timed(run, sequences).items():
                samples.setdefault(name + key, []).append(value)
    few = sequences[:8]
    reference = stock(folder, "fp32")[0](few)
    for name, (run, _) in made.items():
        difference = (run(few) - reference).abs().max() / reference.abs().max()
        samples[f"{name}relative_difference"] = [float(difference)]
    resolved = {**about(sequences), **made[""][1], "stock": made["stock_"][1]}
    return Measurement("embed-speed", requested(precision), resolved, describe_environment(), samples)


def timed(run: Run, sequences: Sequence[str]) -> dict[str, float]:
    """One pass, by the clock and by what the process had of the processor."""
    cpu, start = time.process_time(), time.perf_counter()
    run(sequences)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    residues = sum(map(len, sequences))
    return {"seconds": seconds, "cpu_seconds": cpu, "residues_per_second": residues / seconds}


def memory(folder: Path, precision: str, way: str) -> Measurement:
    """One way, by itself in its process: what it has taken of the heap stays there."""
    sequences = make_sequences(read_lengths())
    run, resolved = (stock if way == "stock" else ours)(folder, precision)
    run(sorted(sequences, key=len)[:2])  # as above
    meter = peak_meter("cpu")
    with meter:
        run(sequences)
    samples = {"peak_bytes": [(meter.peak_bytes or 0) - (meter.start_bytes or 0)]}
    resolved |= {**about(sequences), "ruler": meter.name}
    return Measurement("embed-memory", {**requested(precision), "way": way}, resolved, describe_environment(), samples)


def requested(precision: str) -> dict[str, Any]:
    return {"precision": precision, "max_tokens": MAX_TOKENS, "layers": "last", "pool": "mean"}


def about(sequences: Sequence[str]) -> dict[str, Any]:
    model = f"ESM-2, random weights, {SHAPE}"
    residues = sum(map(len, sequences))
    return {"model": model, "lengths": LENGTHS.name, "sequences": len(sequences), "residues": residues}


# --- what the records say


def table(measurements: Sequence[Measurement]) -> str:
    """A line for each precision, of the last records of it: ours beside stock's."""
    speeds = {m.requested["precision"]: m for m in measurements if m.benchmark == "embed-speed"}
    peaks = {(m.requested["precision"], m.requested["way"]): m for m in measurements if m.benchmark == "embed-memory"}
    lines = [
        "| precision | residues/s, ours | stock's | ratio | peak, MiB: ours | stock's |",
        "|---|---|---|---|---|---|",
    ]
    for precision, measurement in speeds.items():
        found = [median(measurement.samples[f"{name}residues_per_second"]) for name in ("", "stock_")]
        sizes = [peaks[precision, way].samples["peak_bytes"][0] / 2**20 for way in ("lowmem_fold", "stock")]
        cells = [*(f"{each:,.0f}" for each in found), f"{speed_ratio(measurement):.2f}", *(f"{s:.0f}" for s in sizes)]
        lines.append(f"| {' | '.join([precision, *cells])} |")
    return "\n".join(lines)


def speed_ratio(measurement: Measurement) -> float:
    """Median over the turns of our residues per second over stock's."""
    pairs = (measurement.samples[f"{name}residues_per_second"] for name in ("", "stock_"))
    return median(mine / other for mine, other in zip(*pairs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="(%(default)s)")
    parser.add_argument("--only", choices=("speed", *WAYS), help="one measurement, in this process; needs --model")
    parser.add_argument("--model", type=Path, help="the folder of an ESM-2 [one of random weights is made]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    if options.only:
        arguments = options.model, options.precisions[0]
        done = speed(*arguments) if options.only == "speed" else memory(*arguments, options.only)
        append_measurement(options.out, done)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or Path(scratch) / "esm2"
        if options.model is None:
            write_model(folder)
        for precision in options.precisions:
            for only in ("speed", *WAYS):
                arguments = ["--precisions", precision, "--only", only, "--model", folder, "--out", options.out]
                subprocess.run([sys.executable, "-m", "benchmarks.embed", *arguments], check=True)
    print(table(read_measurements(options.out)))


if __name__ == "__main__":
    main()
