"""What the shell is told, and what bash makes of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lowmem_fold.cli.main import VERBS, main


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    pytest.importorskip("shtab", reason="needs shtab")
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_commands_and_options_are_named(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    text = script(capsys, shell)
    assert all(word in text for word in (*VERBS, "--num-recycles", "--allow-precision", "resident", "lowmem-fold"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["lowmem-fold", "ver"], ["verify"]),
        (["lowmem-fold", "fold", "--num"], ["--num-recycles"]),
        (["lowmem-fold", "fold", "--placement", "str"], ["streamed"]),
        (["lowmem-fold", "fold", "-o", "out", "prot"], ["proteins.fasta"]),
    ],
    ids=lambda value: value[-1],
)
def test_bash(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], completed: list[str]) -> None:
    (tmp_path / "proteins.fasta").touch()
    (tmp_path / "completion.sh").write_text(script(capsys, "bash"))
    ask = (
        'source completion.sh; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); compopt() { :; };'
        ' f=$(complete -p lowmem-fold | sed "s/.*-F \\([^ ]*\\).*/\\1/"); $f; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask, "bash", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == completed, done.stderr


def test_without_shtab(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'shtab>=1.7'" in capsys.readouterr().err
