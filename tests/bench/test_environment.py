from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from lowmem_fold.bench import environment
from lowmem_fold.bench.environment import describe_environment


def test_the_environment_is_that_of_this_machine() -> None:
    facts = describe_environment()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["platform"] == platform.platform()
    assert 1 <= facts["cpu"]["cores"] <= (os.cpu_count() or 1)
    assert facts["cpu"]["torch_threads"] == torch.get_num_threads()
    assert facts["cpu"]["model"]
    assert facts["versions"]["python"] == platform.python_version()
    assert facts["versions"]["torch"] == version("torch")
    assert facts["versions"]["cuda"] == torch.version.cuda
    assert "bitsandbytes" in facts["versions"], "present or None, so that its absence is recorded too"
    assert len(facts["gpus"]) >= torch.cuda.device_count()
    assert isinstance(facts["memory"]["total_bytes"], int)


def test_nothing_in_it_names_the_machine_or_the_user() -> None:
    text = json.dumps(describe_environment())
    assert str(Path.home()) not in text
    assert len(platform.node()) < 4 or platform.node() not in text


def _git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", folder, *names, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_checkout_and_changes_are_noticed(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("x = 1\n")
    assert environment._git(module) is None, "in no repository"
    _git(tmp_path, "init", "--quiet")
    assert environment._git(module) is None, "installed into a folder inside a repository that does not track it"
    _git(tmp_path, "add", "module.py")
    _git(tmp_path, "commit", "--quiet", "-m", "first")
    commit = _git(tmp_path, "log", "--format=%H").strip()
    assert environment._git(module) == {"commit": commit, "changed": False}
    (tmp_path / "results.jsonl").write_text("untracked\n")
    assert environment._git(module) == {"commit": commit, "changed": False}
    module.write_text("x = 2\n")
    assert environment._git(module) == {"commit": commit, "changed": True}


def test_missing_programs_are_not_known_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    facts = describe_environment()
    assert (facts["git"], facts["gpu_driver"]) == (None, None)


@pytest.mark.gpu
def test_the_gpu_is_named() -> None:
    facts = describe_environment()
    assert facts["gpus"][0]["name"] == torch.cuda.get_device_name(0)
    assert facts["gpus"][0]["total_bytes"] > 2**30
