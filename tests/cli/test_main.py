"""Help, versions and wrong verbs: at once, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowmem_fold.cli.main import VERBS, main
from lowmem_fold.system.versions import package_version

ROOT = Path(__file__).parents[2]
IMPORTED = """
import sys
from lowmem_fold.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
heavy = {"torch", "transformers", "numpy", "biotite", "tqdm"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)], ids=lambda value: "-".join(value)
)
def test_help_is_quick_and_imports_nothing_heavy(arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert "lowmem-fold" in done.stdout
    # Seconds of the processor: those on the clock depend on what else runs.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"{verb}  " in shown and does in shown for verb, does in VERBS.items())


@pytest.mark.parametrize("verb", [None, "fold"], ids=str)
def test_help_is_a_command_too(capsys, verb):
    shown = []
    for arguments in (["help", *([verb] if verb else [])], [*([verb] if verb else []), "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != ""


def test_module_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "lowmem_fold", "-V"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"lowmem-fold {package_version()}\n", done.stderr


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(capsys, option):
    with pytest.raises(SystemExit) as end:
        main([option])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"lowmem-fold {package_version()}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flod"], f"unknown command 'flod'; choose from: {', '.join(VERBS)}. Did you mean fold?"),
        ([], "usage: lowmem-fold COMMAND"),
    ],
    ids=["unknown", "none"],
)
def test_wrong_verb(capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_option_without_verb(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--device", "cpu"])
    assert end.value.code == 2
    assert "--device" in capsys.readouterr().err
