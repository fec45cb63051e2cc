"""``lowmem-fold view``: where the page goes, what is said, and what is wrong."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import webbrowser
import zlib
from pathlib import Path

import pytest

from lowmem_fold.cli.main import main
from lowmem_fold.view.library import ADDRESS
from tests.fake_run import helix, make_records
from tests.view.runs import written


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "out", [helix(record) for record in make_records(30, 20)], save_pae=True)


def test_page_of_a_run(folder, capsys):
    assert main(["view", str(folder)]) == 0
    shown = capsys.readouterr()
    *before, last = shown.out.splitlines()
    assert before == ["demo · int8 · cpu · 2026-01-02 03:04:05 · 2 ok"]
    assert last == f"Open this page in a browser, or add --open: {folder / 'view.html'}"
    assert shown.err == ""
    text = (folder / "view.html").read_text()
    assert "r1" in text and '"address":null' in text and "https://" not in text


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The addresses that the browser is asked to open; there is a display."""
    addresses: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda address: addresses.append(address) or True)
    return addresses


def test_open(folder, capsys, opened):
    assert main(["view", str(folder), "--open"]) == 0
    assert opened == [(folder / "view.html").as_uri()]
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == f"Page: {folder / 'view.html'}" and shown.err == ""


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="elsewhere there is always a screen")
def test_open_without_a_display(folder, capsys, opened, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert main(["view", str(folder), "--open"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "no screen" in line and line.endswith(str(folder / "view.html")) and not opened


def refused(_address: str) -> bool:
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("fails", [lambda address: False, refused], ids=["says-no", "raises"])
def test_open_without_a_browser(folder, capsys, opened, monkeypatch, fails):
    monkeypatch.setattr("webbrowser.open", fails)
    assert main(["view", str(folder), "--open"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "no browser could be started" in line and line.endswith(str(folder / "view.html"))


def test_library_from_the_network(folder, capsys):
    assert main(["view", str(folder)]) == 0
    whole = (folder / "view.html").stat().st_size
    assert main(["view", str(folder), "--cdn"]) == 0
    assert f'"address":"{ADDRESS}"' in (folder / "view.html").read_text()
    assert whole - (folder / "view.html").stat().st_size > 200_000


def test_page_elsewhere_and_damaged_files(folder, capsys, tmp_path):
    (folder / "r1.pae.json").write_text("{}")
    (folder / "config.json").write_text("{")
    assert main(["view", str(folder), "-o", str(tmp_path / "pages" / "p.html")]) == 0
    said = capsys.readouterr().err
    assert "warning: r1: r1.pae.json cannot be read" in said and "out: config.json cannot be read" in said
    assert (tmp_path / "pages" / "p.html").is_file() and not (folder / "view.html").exists()


def test_comparison(folder, capsys, tmp_path):
    other = written(tmp_path / "other", [helix(make_records(30)[0])])
    assert main(["view", "--compare", str(folder), str(other)]) == 0
    assert "1 compared · 1 of out without a partner in other" in capsys.readouterr().out
    assert (folder / "compare-other.html").is_file()
    (other / "r1.pdb").write_text("no atoms")
    (other / "r1.scores.json").write_text((folder / "r1.scores.json").read_text())
    assert main(["view", "--compare", str(folder), str(other)]) == 1
    shown = capsys.readouterr()
    assert "warning: r1: " in shown.err and "1 compared · 1 failed" in shown.out
    assert "The page that was there is replaced." in shown.out
    assert shown.out.splitlines()[-1].endswith(f": {folder / 'compare-other.html'}")


def test_each_comparison_has_its_page(folder, capsys, tmp_path):
    """A with B, then A with C: neither takes the place of the other."""
    for name in ("b", "c"):
        written(tmp_path / name, [helix(make_records(30)[0])])
        assert main(["view", "--compare", str(folder), str(tmp_path / name)]) == 0
    assert "replaced" not in capsys.readouterr().out
    assert "<title>out on b</title>" in (folder / "compare-b.html").read_text()
    assert "<title>out on c</title>" in (folder / "compare-c.html").read_text()


def test_library_in_the_page(folder, tmp_path):
    library = tmp_path / "3Dmol-min.js"
    library.write_text("createViewer // 3Dmol")
    assert main(["view", str(folder), "--js", str(library)]) == 0
    text = (folder / "view.html").read_text()
    assert '"address":null' in text and "https://" not in text
    held = re.search(r'id="library">([^<]+)<', text)[1]
    assert zlib.decompress(base64.b64decode(held)) == library.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["view", "nowhere"], "no such folder"),
        (["view", "out", "--js", "nothing.js"], "--js nothing.js: cannot be read"),
        (["view", "out", "-o", "page.txt"], "written as .html"),
        (["view", "--compare", "out", "nowhere"], "nowhere: no such file or folder"),
        (["view", "--compare", "empty", "out"], "empty: no structures to compare"),
    ],
    ids=["folder", "js", "output", "compare", "compare-empty"],
)
def test_mistakes(folder, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err
    assert not list(folder.glob("*.html"))


@pytest.mark.parametrize(
    "arguments",
    [[], ["out", "--compare", "out", "out"], ["--compare", "out"], ["out", "--cdn", "--js", "x"]],
    ids=str,
)
def test_one_thing_is_shown(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["view", *arguments])
    assert exit.value.code == 2
    assert "usage: lowmem-fold view" in capsys.readouterr().err


def test_no_model_is_waited_for(folder):
    script = f"import sys; from lowmem_fold.cli.main import main; main(['view', {str(folder)!r}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "biotite", "matplotlib"} & set(done.stdout.split())
