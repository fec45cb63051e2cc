"""Pictures of a run are those of its predictions."""

from __future__ import annotations

import io
import json
from functools import partial

import numpy as np
import pytest
from matplotlib import image

from lowmem_fold.bench.style import LIGHT, rendered
from lowmem_fold.errors import InputError
from lowmem_fold.view.pictures import main, write_pictures
from lowmem_fold.view.static import draw_structure
from tests.view.structures import known, predicted


@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_each_structure_of_a_run_is_drawn(tmp_path, form):
    predictions = [predicted(known("3a4rA"), 30), predicted(known("2xdgA"))]
    for prediction in predictions:
        prediction.save(tmp_path, format=form)
    lines = [{"id": "lost", "status": "failed", "sequence": "MK", "error": "no memory"}]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    paths = list(write_pictures(tmp_path))
    assert sorted(paths) == sorted(tmp_path / f"{prediction.id}.png" for prediction in predictions)
    assert sorted(tmp_path.glob("*.png")) == sorted(paths)
    for prediction in predictions:  # the files hold three decimals, which move few pixels
        drawn = rendered(partial(draw_structure, prediction), LIGHT, "png")
        written = image.imread(tmp_path / f"{prediction.id}.png")
        expected = image.imread(io.BytesIO(drawn))
        assert written.shape == expected.shape and np.abs(written - expected).mean() < 1e-3


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="no run of lowmem-fold"):
        list(write_pictures(tmp_path))


def test_as_a_program(tmp_path, monkeypatch, capsys):
    predicted(known("3a4rA")).save(tmp_path)
    monkeypatch.setattr("sys.argv", ["pictures", str(tmp_path)])
    assert main() == 0
    assert capsys.readouterr().out == f"{tmp_path / '3a4rA.png'}\n"
    monkeypatch.setattr("sys.argv", ["pictures", str(tmp_path / "none")])
    assert main() == 2
    assert "no such folder" in capsys.readouterr().err
