"""The command that measures a card: it runs without one, on a bare machine, and what it finds becomes a table."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.card import block, facts, kernels, limit, table, tiles
from benchmarks.card.__main__ import LOG, RECORDS, _cut, _finished, main
from benchmarks.card.card import Card, Findings
from benchmarks.card.jobs import STEPS, chosen_jobs
from benchmarks.card.suite import gpu_test_files
from benchmarks.pages import filled
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.bench.records import Measurement, read_measurements
from tests.benchmarks import card_work

MIB = 2**20
ROOT = Path(__file__).parents[2]
BARE = ROOT / "tests" / "bare"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux alone")


# --- the command


@pytest.mark.more
def test_every_step_runs_on_a_bare_machine(tmp_path: Path) -> None:
    """Without a GPU, and without the packages that a lent machine lacks: each step measures, or says what it lacks."""
    # One thread: threads that wait for one another are ten times slower where other processes want the cores. And
    # limits of several times the usual ones, which are for a card.
    environment = {**os.environ, "PYTHONPATH": str(BARE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.card", "--out", str(tmp_path / "out"), "--device", "cpu", "--quick"]
    command += ["--seconds", "3000"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(f"{time.monotonic() - start:.0f} s\n{done.stdout}{done.stderr}")
    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [LOG, RECORDS]
    assert all(path.stat().st_size < 16 * 2**20 for path in (tmp_path / "out").iterdir())
    found = read_measurements(tmp_path / "out" / RECORDS)
    count = Counter(each.benchmark for each in found if each.status == "ok")
    assert count.keys() == {f"card-{name}" for name in STEPS if name not in ("limit", "tests")} | {
        "card-block-fidelity",
        "card-planned",
        "card-stand-in",
        "card-streams-load",
    }
    others = {each.reason for each in found if each.status != "ok"}
    assert others and all("needs a CUDA device" in (reason or "") for reason in others)
    tests = [each for each in found if each.benchmark == "card-tests"]
    assert {each.requested["test"].partition("::")[0] for each in tests} == set(gpu_test_files())
    for each in found:
        if each.benchmark == "card-demo" and each.requested["precision"] == "fp32":
            assert each.samples["distance_difference_angstrom"] == [0.0] and each.resolved["same_twice"]
        if each.benchmark == "card-block-fidelity":
            assert max(value for values in each.samples.values() for value in values) < 1e-5
    folded = [each for each in found if each.benchmark in ("card-streams", "card-whole")]
    assert len({round(each.samples["ptm"][0], 3) for each in folded if "ptm" in each.samples}) == 1
    assert all(each.resolved["same_as_resident"] for each in folded if "same_as_resident" in each.resolved)


@pytest.mark.more
def test_everything_is_collected_on_a_bare_machine() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(BARE)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "could not import 'biotite" in done.stdout


def test_the_order_is_that_of_the_evidence() -> None:
    jobs = chosen_jobs(["tests", "facts"])
    assert str(jobs[0]) == "facts" and [job.file for job in jobs[1:]] == gpu_test_files()
    slow = ["backbones" in name or "planning" in name or "periodic" in name for name in gpu_test_files()]
    assert slow == sorted(slow) and True in slow and False in slow


def test_a_step_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["--out", "out", "--only", "everything"])
    assert error.value.code == 2 and "invalid choice: 'everything'" in capsys.readouterr().err


def test_the_tracked_tree_fits_beside_the_training_data() -> None:
    """Of the 64 MiB that a lent machine takes, 27 MB are for training."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        pytest.skip("not a checkout of git")
    files = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    assert sum(file.stat().st_size for file in files if file.exists()) < 36 * 10**6


# --- a process that goes wrong costs itself alone


@linux
@pytest.mark.parametrize(
    ("work", "outcome"),
    [
        (card_work.fine, ("ok", None)),
        (card_work.breaks, ("failed", "exit code 3, see log.txt")),
        (card_work.dies, ("failed", "killed by signal 11")),
    ],
    ids=["fine", "breaks", "dies"],
)
def test_what_becomes_of_a_process(work: object, outcome: tuple[str, str | None]) -> None:
    assert _finished(multiprocessing.get_context("spawn"), work, (), 60) == outcome


@linux
def test_a_process_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "child"
    for seconds in (3, 30, 300):  # until it has started its child, on a machine with other work
        outcome, reason = _finished(multiprocessing.get_context("spawn"), card_work.hangs, (str(file),), seconds)
        assert (outcome, reason) == ("timeout", f"not done after {seconds} s")
        if file.exists():
            break
    while _runs(file.read_text()):  # what is killed is gone a moment later; else this never ends
        time.sleep(0.05)


def _runs(number: str) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.more
@linux
def test_a_command_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    """Neither processes nor the folder in main memory."""
    with tempfile.TemporaryDirectory() as folder:  # whose path is short enough for that of a socket: 107 characters
        _stop_a_command(tmp_path, Path(folder))


def _stop_a_command(tmp_path: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.card", "--out", str(tmp_path), "--device", "cpu", "--only", "block"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    before = set(_scratch())
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    log = tmp_path / LOG
    while not log.exists() and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 143, errors.decode()
    while _having_open(str(log)):  # what is killed is gone a moment later
        time.sleep(0.05)
    assert not [*folder.glob("lowmem_fold_card_*"), *(set(_scratch()) - before)]


def _scratch() -> list[Path]:
    return list(Path("/dev/shm").glob("lowmem_fold_card_*"))


def _having_open(file: str) -> list[int]:
    """Numbers of the processes."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if file in {os.readlink(each) for each in (process / "fd").iterdir()}:
                    found.append(int(process.name))
    return found


def test_a_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.card.__main__.LOG_BYTES", 10)
    log = tmp_path / LOG
    _cut(log)
    log.write_text("0123456789abc")
    _cut(log)
    assert log.read_text() == "0123456789"


# --- a measurement that goes wrong is a record


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(torch.device("cpu"), quick=True, scratch=tmp_path)


def test_a_measurement_that_breaks_keeps_what_it_found(card: Card, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(found: Findings) -> None:
        found.add(seconds=[1.0, 2.0], gap=float("nan"), peak_bytes=3)
        raise ZeroDivisionError("no card")

    found = card.measured("card-block", {"length": 3}, measure)
    assert (found.status, found.reason) == ("failed", "ZeroDivisionError: no card")
    assert found.samples == {"seconds": [1.0, 2.0], "peak_bytes": [3]}
    assert found.resolved["not_finite"] == ["gap"]
    assert found.requested == {"device": "cpu", "length": 3} and "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [(MemoryError("no room"), "oom"), (RuntimeError("CUDA error: out of memory"), "oom"), (OSError("gone"), "failed")],
    ids=["memory", "cuda", "other"],
)
def test_running_out_of_memory_is_told_apart(card: Card, error: Exception, status: str) -> None:
    def measure(found: Findings) -> None:
        raise error

    assert card.measured("card-block", {}, measure).status == status


def test_what_needs_a_card_is_refused(card: Card) -> None:
    found = card.measured("card-facts", {}, lambda found: card.require_cuda("TF32"))
    assert (found.status, found.reason) == ("refused", "InputError: TF32 needs a CUDA device")


# --- what runs on a card alone, on a simulated one


class SimulatedCuda:
    """What the steps ask of `torch.cuda`, in numbers: a card of 1,000 MiB, of which a fold takes `needed` bytes."""

    total, needed, reserved = 1000 * MIB, 300 * MIB, 340 * MIB

    def __init__(self) -> None:
        self.limit = self.total

    def put_in(self, patch: pytest.MonkeyPatch) -> None:
        properties = SimpleNamespace(total_memory=self.total, multi_processor_count=7, L2_cache_size=MIB)
        for name, answer in {
            "memory_reserved": 20 * MIB,
            "memory_allocated": 10 * MIB,
            "max_memory_reserved": self.reserved,
            "max_memory_allocated": self.needed,
            "mem_get_info": (400 * MIB, self.total),
            "get_device_properties": properties,
            "memory_stats": {"requested_bytes.all.peak": self.needed - 5},
            **dict.fromkeys(("synchronize", "empty_cache", "reset_peak_memory_stats")),
        }.items():
            patch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
        patch.setattr(torch.cuda, "set_per_process_memory_fraction", self.set_fraction)
        patch.setattr(torch.cuda.memory, "_set_allocator_settings", lambda settings: None)
        patch.setattr(Card, "is_cuda", True)

    def set_fraction(self, fraction: float) -> None:
        self.limit = round(fraction * self.total)

    def fold(self, *_: object, **__: object) -> None:
        if self.limit < self.needed + 17 * MIB:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> SimulatedCuda:
    simulated = SimulatedCuda()
    simulated.put_in(monkeypatch)
    return simulated


def test_facts_of_a_card(card: Card, cuda: SimulatedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "free_before_context", lambda device: 900 * MIB)
    monkeypatch.setattr(facts, "COPIED_BYTES", 4 * MIB)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **options: empty(*size, **options))
    found = list(facts.run(card))
    assert {each.status for each in found} == {"ok"} and len(found) == 8
    context = found[0].samples
    assert context["free_before_context_bytes"] == [900 * MIB] and context["total_bytes"] == [1000 * MIB]
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_least_limit_is_found(card: Card, cuda: SimulatedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "fold_batch", cuda.fold)
    monkeypatch.setattr(limit, "_model", cache(lambda device: None))
    found = list(limit.run(card))
    assert [each.requested["expandable_segments"] for each in found] == [False, True]
    for each in found:
        assert 0 <= each.samples["least_limit_bytes"][0] - (cuda.needed + 17 * MIB) < limit.ENOUGH_BYTES
        assert each.samples["requested_peak_bytes"] == [cuda.needed - 5]
    assert cuda.limit == cuda.total


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_blocks_tiles_and_kernels_of_a_card(card: Card, cuda: SimulatedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow ones, so that it is quick; the profiler finds no kernels where there is no card."""
    monkeypatch.setattr(block, "full_width_block", lambda device: BLOCK)
    for module in (tiles, kernels):
        monkeypatch.setattr(module, "full_width_block", lambda device: BLOCK)
        monkeypatch.setattr(module, "random_states", narrow_states)
    monkeypatch.setattr(block, "random_states", narrow_states)
    meter = SimpleNamespace(name="simulated", start_bytes=3, peak_bytes=10)
    monkeypatch.setattr(block, "peak_meter", lambda device: nullcontext(meter))
    found = [*block.run(card), *tiles.run(card), *kernels.run(card)]
    assert {each.status for each in found} == {"ok"}
    exact, ours, *_ = found
    assert exact.samples.keys() >= {"pair_from_stock", "stock_in_tf32_from_float64"}
    assert ours.samples["peak_bytes"] == [7] and ours.samples["reserved_peak_bytes"] == [cuda.reserved]
    assert any(each.requested.get("tf32") for each in found)


BLOCK = random_model(small_config()).trunk.blocks[0]


def narrow_states(length: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(length, 96), torch.randn(length, length, 32)


# --- the table


def made_up(
    benchmark: str, requested: dict, samples: dict, status: str = "ok", gpu: str = "Made-up 9000"
) -> Measurement:
    environment = {
        "gpus": [{"name": gpu, "total_bytes": 8 * 10**9, "compute_capability": "9.9"}],
        "versions": {"torch": "2.99.0", "transformers": "5.99.0"},
    }
    reason = None if status == "ok" else "made up"
    return Measurement(f"card-{benchmark}", {"device": "cuda", **requested}, {}, environment, samples, status, reason)


GIB = 2**30
STOCK = "stock fp16 stem, chunk_size 64"
FOLDS = [
    made_up(
        "whole", {"code": "lowmem_fold", "precision": "fp16", "length": 512}, {"seconds": [9.0], "peak_bytes": [1]}
    ),
    made_up(
        "whole",
        {"code": "lowmem_fold", "precision": "fp16", "length": 512},
        {"seconds": [3.0], "peak_bytes": [8 * GIB]},
    ),
    made_up("whole", {"code": STOCK, "precision": None, "length": 512}, {"seconds": [4.0], "peak_bytes": [12 * GIB]}),
    made_up(
        "whole",
        {"code": "lowmem_fold", "precision": "fp16", "length": 1024},
        {"seconds": [20.0], "peak_bytes": [9 * GIB]},
    ),
    made_up("whole", {"code": STOCK, "precision": None, "length": 1024}, {}, "oom"),
    made_up("planned", {"precision": "fp16", "length": 512}, {"planned_peak_bytes": [int(8.1 * GIB)]}),
]
OTHERS = [
    made_up("demo", {"precision": "fp32", "placement": "resident"}, {"distance_difference_angstrom": [2e-3]}),
    made_up("demo", {"precision": "fp32", "placement": "staged"}, {"distance_difference_angstrom": [1e-3]}),
    made_up("demo", {"precision": "fp16", "placement": "staged"}, {"distance_difference_angstrom": [5.0]}),
    made_up("block-fidelity", {"length": 33}, {"pair_from_stock": [3e-6]}),
    made_up("streams", {"length": 512, "placement": "resident", "memory": None}, {"trunk_seconds": [2.0]}),
    made_up("streams", {"length": 512, "placement": "streamed", "memory": None}, {"trunk_seconds": [2.2]}),
    made_up("limit", {"length": 256}, {"least_limit_bytes": [105], "allocated_peak_bytes": [100]}),
    made_up(
        "facts",
        {"what": "context"},
        {
            "free_before_context_bytes": [1000 * 2**20],
            "free_after_product_bytes": [500 * 2**20],
            "reserved_after_product_bytes": [60 * 2**20],
        },
    ),
    made_up("tests", {"test": "a", "when": "call"}, {"seconds": [1.0]}),
    made_up("tests", {"test": "b", "when": "call"}, {}, "failed"),
    made_up("tests", {"test": "c", "when": "setup"}, {}, "refused"),
]


def test_the_table_of_a_made_up_card() -> None:
    text = table.text([*FOLDS, *OTHERS])
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows == [
        f"| 512 | {STOCK} | 4.00 | 1.00 | 12.00 |  |",
        "| 512 | **fp16** | 3.00 | 0.75 | 8.00 | 8.10 |",
        f"| 1,024 | {STOCK} | oom | | | |",
        "| 1,024 | **fp16** | 20.00 |  | 9.00 |  |",
    ]
    assert text.startswith("**Made-up 9000**: torch 2.99.0, transformers 5.99.0")
    for sentence in (
        "in fp32, in 2 placements: CA distances within 0.002 Å of the CPU's",
        "the pair state within 3e-06 of stock's",
        "the trunk takes 1.10 at 512 residues of the time with resident ones",
        "The allocator needs at most 5.0% more",
        "CUDA's context takes 440 MiB of the card",
        "1 passed, 1 failed, 1 skipped",
    ):
        assert sentence in text, sentence


def test_each_card_has_a_part_and_no_step_is_needed() -> None:
    text = table.text([FOLDS[1], made_up("tests", {"test": "a", "when": "call"}, {"seconds": [1.0]}, gpu="Another")])
    assert text.index("**Another**") < text.index("**Made-up 9000**")
    assert "passed" not in text.partition("**Made-up 9000**")[2]


def test_records_of_a_cpu_make_no_table() -> None:
    cpu = Measurement("card-whole", {"device": "cpu"}, {}, {"gpus": []}, {"seconds": [1.0]})
    assert table.text([cpu]) == table.text([]) == table.NOTHING


def test_the_page_says_what_the_records_say() -> None:
    page = table.PAGE.read_text()
    found = read_measurements(table.RESULTS) if table.RESULTS.exists() else []
    assert filled(page, {table.SECTION: table.text(found)}) == page
