"""What is said of the demo model is what was measured on the model that is shipped."""

from __future__ import annotations

import json
import statistics

import pytest

from benchmarks import demo, loading, precision
from lowmem_fold.bench.records import read_measurements
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from plots import training
from tests.models import sampled_fingerprint

MEASUREMENTS = list(read_measurements(demo.RESULTS))
DRIFTS = list(read_measurements(precision.RESULTS))
LOADS = list(read_measurements(loading.RESULTS))


def test_the_records_are_of_the_shipped_model() -> None:
    shipped = find_checkpoint("demo")
    known = {shipped.fingerprint(), sampled_fingerprint(shipped.path)}
    described = [m.resolved["model"] for m in MEASUREMENTS if "model" in m.resolved]
    assert len(described) == 2 and {model["fingerprint"] for model in described} <= known
    assert {m.resolved["model"]["fingerprint"] for m in DRIFTS} <= known
    assert list(demo.by_predictor(MEASUREMENTS)) == ["demo", "random weights", "random pairs", "ideal helix"]
    for name in ("demo", "random weights", "ideal helix"):
        assert len(demo.by_predictor(MEASUREMENTS)[name].samples["tm_score"]) == 50


@pytest.mark.parametrize(
    "path",
    [demo.MODEL_FOLDER / "README.md", demo.ROOT / "README.md", demo.ROOT / "docs" / "precision.md"],
    ids=lambda p: f"{p.parent.name}-{p.stem}",
)
def test_pages_say_what_the_records_say(path: demo.Path) -> None:
    sections = demo.texts(MEASUREMENTS, DRIFTS, LOADS, training.read_log())[path]
    assert demo.filled(path.read_text(), sections) == path.read_text()
    assert demo.filled(path.read_text(), dict.fromkeys(sections, "other")) != path.read_text()


def test_the_table_of_proteins_is_that_of_the_records() -> None:
    """Read again without the code that writes it."""
    records = [json.loads(line) for line in demo.RESULTS.read_text().splitlines()]
    (record,) = [r for r in records if r["requested"].get("predictor") == "demo"]
    rows = [line.strip("| ").split(" | ") for line in demo.RESULTS.with_suffix(".md").read_text().splitlines()]
    scores = {row[0]: float(row[2]) for row in rows if len(row) == 7 and row[1].isdigit()}
    assert len(scores) == 50
    for chain, score in zip(record["resolved"]["chains"], record["samples"]["tm_score"], strict=True):
        assert scores[chain] == pytest.approx(score, abs=6e-4)


def test_the_model_is_better_than_every_control() -> None:
    scores = {name: demo.summary(m.samples) for name, m in demo.by_predictor(MEASUREMENTS).items()}
    for name in ("random weights", "random pairs", "ideal helix"):
        assert scores["demo"]["mean_tm_score"] > scores[name]["mean_tm_score"]
        assert scores["demo"]["mean_lddt_ca"] > scores[name]["mean_lddt_ca"]
    assert scores["demo"]["mean_chi1_right"] > scores["ideal helix"]["mean_chi1_right"]


def test_every_precision_was_measured() -> None:
    measured = [m.requested["precision"] for m in DRIFTS if m.benchmark == "precision-drift"]
    assert measured == list(precision.PRECISIONS)
    for m in DRIFTS:
        assert len(m.samples["experiment_gdt_ts"]) == len(m.resolved["chains"]) == 50
        assert len(m.samples.get("ca_rmsd_angstrom", [])) == (0 if m.benchmark == "precision-reference" else 50)


def test_fp32_beside_the_experiment_is_what_the_demo_models_accuracy_was() -> None:
    """Measured by two programs."""
    (reference,) = [m for m in DRIFTS if m.benchmark == "precision-reference"]
    accuracy = demo.by_predictor(MEASUREMENTS)["demo"]
    assert reference.resolved["chains"] == accuracy.resolved["chains"]
    expected = pytest.approx(accuracy.samples["tm_score"], abs=6e-5)  # these have four digits
    assert reference.samples["experiment_tm_score"] == expected
    page = (demo.ROOT / "docs" / "precision.md").read_text()
    assert f"| fp32 | {statistics.median(accuracy.samples['tm_score']):.3f} (" in page


def test_every_kind_of_layer_was_measured_alone() -> None:
    measured = [m for m in DRIFTS if m.benchmark == "precision-layers"]
    assert len(measured) == len(precision.LAYERS)
    (whole,) = [m for m in DRIFTS if m.requested["precision"] == "int8"]
    of_whole, *numbers = [m.resolved["model"]["weights"]["total"]["formats"]["int8"] for m in (whole, *measured)]
    counts = dict(zip(precision.LAYERS, numbers, strict=True))
    assert sum(numbers) - counts["language model, all"] == of_whole
    assert counts["language model, all"] == counts["language model, attention"] + counts["language model, feed-forward"]


def test_loading_holds_the_result_and_little_more() -> None:
    assert [m.requested["precision"] for m in LOADS] == list(loading.PRECISIONS)
    for m in LOADS:
        weights = m.resolved["weights"]["total"]
        assert sum(weights["formats"].values()) == weights["weights"] > 3.5e9
        assert m.samples["peak_anonymous_bytes"][0] < m.samples["weight_bytes"][0] + 0.5e9


def test_int8_keeps_within_its_limits() -> None:
    """Hard limits; a peer claims them for its fp8."""
    (int8,) = [m.samples for m in DRIFTS if m.requested["precision"] == "int8"]
    assert statistics.median(int8["ca_rmsd_angstrom"]) <= 0.75
    assert statistics.median(int8["lddt_ca"]) >= 0.97
    assert statistics.median(map(abs, int8["plddt_difference"])) <= 1.0


def test_a_fold_of_257_residues_takes_less_than_a_minute() -> None:
    (fold,) = [m for m in MEASUREMENTS if m.benchmark == "demo-fold"]
    assert fold.requested["length"] == 257 and fold.requested["num_recycles"] == 3
    assert fold.environment["cpu"]["cores"] <= 2 and max(fold.samples["fold_seconds"]) < 60


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="'accuracy' is there 0 times"):
        demo.filled("no marks", {"accuracy": "text"})
