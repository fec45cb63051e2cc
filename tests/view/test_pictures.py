"""Pictures of a run are those of its predictions."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from matplotlib import image

from lowmem_fold.errors import InputError
from lowmem_fold.system.style import LIGHT, rendered
from lowmem_fold.view.pictures import main, write_pictures
from lowmem_fold.view.static import draw_structure
from tests.fake_run import helix, make_records
from tests.view.runs import failed, written
from tests.view.structures import known, predicted


@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_each_structure_of_a_run_is_drawn(tmp_path, form):
    predictions = [predicted(known("3a4rA"), 30), predicted(known("2xdgA"))]
    for prediction in predictions:
        prediction.save(tmp_path, format=form)
    lines = [{"id": "lost", "status": "failed", "sequence": "MK", "error": "no memory"}]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    paths = [picture.path for picture in write_pictures(tmp_path)]
    assert sorted(paths) == sorted(tmp_path / f"{prediction.id}.png" for prediction in predictions)
    assert sorted(tmp_path.glob("*.png")) == sorted(paths)
    for prediction in predictions:  # the files hold three decimals, which move few pixels
        drawn = rendered(partial(draw_structure, prediction), LIGHT, "png")
        written = image.imread(tmp_path / f"{prediction.id}.png")
        expected = image.imread(io.BytesIO(drawn))
        assert written.shape == expected.shape and np.abs(written - expected).mean() < 1e-3


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="not the folder of a run"):
        list(write_pictures(tmp_path))


def test_as_make_demo_runs_it(tmp_path):
    """On a run that was written as `lowmem-fold fold` does, in a process of its own."""
    folder = written(tmp_path / "out", [helix(record) for record in make_records(12, 14)], [failed("broken")])
    command = [sys.executable, "-m", "lowmem_fold.view.pictures", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(folder / "r0.png"), str(folder / "r1.png")] and done.stderr == ""
    assert {path.name for path in folder.glob("*.png")} == {"r0.png", "r1.png"}
    assert image.imread(folder / "r0.png").std() > 0.01  # something is on it


def main_of(folder, monkeypatch) -> int:
    monkeypatch.setattr("sys.argv", ["pictures", str(folder)])
    return main()


def test_no_folder(tmp_path, monkeypatch, capsys):
    assert main_of(tmp_path / "none", monkeypatch) == 2
    assert "no such folder" in capsys.readouterr().err


def test_what_cannot_be_drawn_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    """One file is damaged, one has a single residue, the picture of one cannot be written."""
    folder = written(tmp_path, [helix(record) for record in make_records(12, 1, 13, 14)])
    (folder / "r0.pdb").write_text("nothing\n")
    (folder / "r2.png").mkdir()
    assert main_of(folder, monkeypatch) == 1
    shown = capsys.readouterr()
    assert shown.out == f"{folder / 'r3.png'}\n"
    reasons = ["r0: .*r0.pdb", "r1: r1: no two residues", "r2: cannot be written: "]
    for line, reason in zip(shown.err.splitlines(), reasons, strict=True):
        assert re.match(f"error: no picture of {reason}", line)


def test_without_matplotlib(tmp_path, monkeypatch, capsys):
    """The extra that is named is that of pictures."""
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "lowmem_fold.view.figures", raising=False)
    predicted(known("3a4rA")).save(tmp_path)
    assert main_of(tmp_path, monkeypatch) == 2
    assert "pip install 'matplotlib>=3.8'" in capsys.readouterr().err
