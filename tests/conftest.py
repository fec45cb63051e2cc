"""Skips what this machine cannot run, and keeps the tests off the network."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Before any test imports huggingface_hub, which reads this once: a test never waits for a hub or fetches from it.
os.environ["HF_HUB_OFFLINE"] = "1"
# Likewise read once, by torch: processes side by side (pytest -n) get a core each, instead of all of them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# A shell starts what it puts into the background with SIGINT ignored, and nohup ignores SIGHUP; the tests of stopping
# are about signals that are not ignored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's cache is read or written. The processes of one run share one: a plan takes seconds."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    os.environ["LOWMEM_FOLD_CACHE"] = str(folder)


def pytest_collection_finish() -> None:
    """Leave what the imports made out of each later garbage collection, of which tests of memory ask for hundreds."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as skipped, with the reason, each test that asks for what this machine lacks."""
    for marker, available, reason in (
        ("gpu", _has_gpu, "needs a CUDA device, and torch sees none"),
        ("browser", _has_browser, "needs Chromium, which is not installed"),
        ("weights", _has_weights, "needs facebook/esmfold_v1 in the hub's cache, and it is not there"),
    ):
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


#: What a machine may lack that was lent with a GPU for minutes. Everywhere else these are installed.
MAY_LACK = ("biotite", "optimum", "bitsandbytes", "py3Dmol", "nbformat", "nbclient", "ipykernel", "tmtools")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with _skipping_without():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _skipping_without():
        return (yield)


@contextmanager
def _skipping_without() -> Iterator[None]:
    """Skip the test that needs one of them, where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in MAY_LACK:
            pytest.skip(f"needs {error.name}, which is not installed")
        raise


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_browser() -> bool:
    from tests.browser.chromium import executable

    return executable() is not None


def _has_weights() -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
    return any(isinstance(try_to_load_from_cache("facebook/esmfold_v1", name), str) for name in names)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of random weights, for reading alone."""
    from lowmem_fold.bench.models import random_model, small_config

    folder = tmp_path_factory.mktemp("models") / "sound"
    random_model(small_config()).save_pretrained(folder)
    return folder


@pytest.fixture
def broken(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, for the test to break."""
    return Path(shutil.copytree(sound, tmp_path / "broken"))
