"""The benchmark of embedding compares what it says, and its records hold what is claimed."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest

from benchmarks import embed
from lowmem_fold.bench.records import read_measurements

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def test_lengths_are_those_of_their_formula():
    quantiles = [NormalDist().inv_cdf((index + 0.5) / 32) for index in range(32)]
    lengths = [min(1022, max(30, round(300 * math.exp(0.7 * each)))) for each in quantiles]
    random.Random(0).shuffle(lengths)
    assert embed.read_lengths() == lengths
    assert (min(lengths), max(lengths), sum(length < 300 for length in lengths)) == (66, 1022, 16)  # data/README.md


def test_plain_loop_takes_sequences_as_they_come():
    sequences = embed.make_sequences(embed.read_lengths())
    batches = list(embed.unsorted_batches(sequences))
    assert [sequence for batch in batches for sequence in batch] == sequences
    sizes = [len(batch) * max(len(each) + 2 for each in batch) for batch in batches]
    assert max(sizes) <= embed.MAX_TOKENS
    following = [batch[0] for batch in batches[1:]]
    for batch, first in zip(batches, following, strict=False):  # one more would not have had room
        longest = max(len(each) + 2 for each in [*batch, first])
        assert longest * (len(batch) + 1) > embed.MAX_TOKENS


def test_both_ways_give_the_same(tmp_path, monkeypatch):
    lengths = tmp_path / "lengths.txt"
    lengths.write_text("5 60 7 30 30 12 9 40 3")
    monkeypatch.setattr(embed, "MAX_TOKENS", 64)
    monkeypatch.setattr(embed.read_lengths, "__defaults__", (lengths,))
    embed.write_model(tmp_path / "model", **TINY)
    folder = tmp_path / "model"
    speed = embed.speed(folder, "fp32", repeats=1)
    for name in ("", "stock_"):
        assert speed.samples[f"{name}relative_difference"][0] < 1e-5
        (seconds,), (residues,) = (speed.samples[name + key] for key in ("seconds", "residues_per_second"))
        assert residues == pytest.approx(196 / seconds)
    assert speed.resolved["attention"] == speed.resolved["stock"]["attention"] == "sdpa"
    # Of this process, which other tests' memory leaves meanwhile: how much it is means nothing here.
    peaks = [embed.memory(folder, "fp32", way) for way in embed.WAYS]
    assert [peak.requested["way"] for peak in peaks] == list(embed.WAYS)
    ratio = speed.samples["residues_per_second"][0] / speed.samples["stock_residues_per_second"][0]
    assert embed.speed_ratio(speed) == ratio
    assert f"| {ratio:.2f} |" in embed.table([speed, *peaks]).splitlines()[2]


def test_records_hold_what_is_claimed():
    """All precisions are measured, and in fp32 embedding is 1.5 times as fast as the loop, and as exact."""
    records = read_measurements(embed.RESULTS)
    speeds = {m.requested["precision"]: m for m in records if m.benchmark == "embed-speed"}
    assert set(speeds) == set(embed.PRECISIONS)
    assert len(embed.table(records).splitlines()) == 2 + len(embed.PRECISIONS)
    assert all(m.resolved["residues"] == sum(embed.read_lengths()) for m in records)
    assert embed.speed_ratio(speeds["fp32"]) >= 1.5
    assert speeds["fp32"].samples["relative_difference"][0] < 1e-5


def test_records_hold_what_is_said_of_bf16():
    """Of half precision that is stored alone: lowmem_fold/backbones/README.md."""
    records = read_measurements(embed.RESULTS)
    ratios = {m.requested["precision"]: embed.speed_ratio(m) for m in records if m.benchmark == "embed-speed"}
    assert ratios["bf16"] < 1.3 < ratios["stem=bf16/bf16"]
    peaks = {
        (m.requested["precision"], m.requested["way"]): m.samples["peak_bytes"][0]
        for m in records
        if m.benchmark == "embed-memory"
    }
    assert peaks["bf16", "lowmem_fold"] > 1.5 * peaks["bf16", "stock"]
