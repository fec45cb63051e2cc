"""What a browser makes of markup in all that comes from files: text, in pages and in a notebook."""

from __future__ import annotations

import html
import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import lowmem_fold as lf
from lowmem_fold.bench import report
from lowmem_fold.bench.records import append_measurement
from lowmem_fold.view.compared import compared, read_side
from lowmem_fold.view.comparison_page import comparison_page
from lowmem_fold.view.page import page_html
from lowmem_fold.view.run import read_run
from lowmem_fold.view.run_page import run_page
from tests.bench.sweeps import CARD, sweep
from tests.fake_run import helix, make_records
from tests.view.structures import known, predicted

EVIL = "</script><img src=x onerror=hit()>\"'><!--<script>{{script}}"
#: As the name of a file, which cannot hold a slash, and has 255 bytes.
EVIL_NAME = "<img src=x onerror=hit()>\"'><!--<script>"
HARMLESS = "name"


class Tags(html.parser.HTMLParser):
    """Each start tag with its attributes, but for the values that differ from one name to another."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.comments: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, tuple(name for name, _ in attributes)))

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts.append(data)


def assert_text(evil: str, harmless: str, present: str = "hit()") -> None:
    """The page has the elements that it has with harmless names, and no script holds what could end or open one.

    present: what is left of the markup in it.
    """
    found, expected = Tags(evil), Tags(harmless)
    assert found.tags == expected.tags and not found.comments
    assert len(found.scripts) == len(expected.scripts)
    for opener in ("</script", "<script", "<!--", "<img"):
        assert not any(opener in script.lower() for script in found.scripts), opener
    assert present in evil  # else nothing of it was there to be escaped


_COLUMNS = (
    *("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id"),
    *("label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy"),
    *("B_iso_or_equiv", "auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id", "pdbx_PDB_model_num"),
)


def cif(path: Path, name: str, residues: int = 12) -> Path:
    """A helix as mmCIF; its chain and its residues have this name."""
    quoted, serial = f'"{name}"', 0
    lines = ["data_x", "loop_", *(f"_atom_site.{column}" for column in _COLUMNS)]
    for row, atoms in enumerate(helix(make_records(residues)[0]).positions[:, :3], start=1):
        for atom, element, place in zip(("N", "CA", "C"), "NCC", atoms, strict=True):
            serial += 1
            head = f"ATOM {serial} {element} {atom} . {quoted} {quoted} 1 {row} ?"
            lines.append(f"{head} {' '.join(map(str, place))} 1.00 90.0 {row} {quoted} {quoted} {atom} 1")
    path.write_text("\n".join([*lines, "#", ""]))
    return path


def run_folder(folder: Path, name: str, file: str) -> Path:
    """A run that says a name wherever it can: `file` of its record, `name` of all else."""
    (record,) = make_records(12)
    prediction = helix(record)
    folder.mkdir()
    (folder / f"{file}.cif").write_text(prediction.to_cif().replace("data_r0", f"data_x\n# {name}"))
    line = {
        **prediction.scores(),
        **{"id": file, "header": name, "status": "suspect", "reason": name, "problems": [name], "warnings": [name]},
        **dict.fromkeys(("precision", "placement", "device", "peak_meter", "finished", "batch_records"), name),
    }
    failed = {
        "id": f"{file}2",
        "header": name,
        "sequence": name,
        "status": "failed",
        "reason": name,
        "error_type": name,
    }
    (folder / "scores.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(failed)}\n")
    (folder / f"{file}.scores.json").write_text(json.dumps({**line, "plddt": line["plddt"][1:]}))
    (folder / f"{file}.pae.json").write_text(json.dumps({name: name}))
    (folder / f"{file}3.scores.json").write_text(json.dumps({"id": name}))
    config = {
        "settings": {"model": name, name: name},
        "model": {"model": name, "precision": name, "resolved_precision": name, "device": name, "placement": name},
        "versions": {name: name},
        **{"device_name": name, "platform": name, "started": name},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_page_of_a_run(tmp_path):
    evil, harmless = (
        page_html(run_page(read_run(run_folder(tmp_path / file, name, file))))
        for name, file in ((EVIL, EVIL_NAME), (HARMLESS, HARMLESS))
    )
    assert_text(evil, harmless)


def test_the_page_of_a_comparison(tmp_path):
    """Of a run and a folder of files, of which one cannot be compared."""
    pages = []
    for name, file in ((EVIL, EVIL_NAME), (HARMLESS, HARMLESS)):
        run = run_folder(tmp_path / f"run {file}", name, file)
        files = tmp_path / file
        files.mkdir()
        cif(files / f"{file}.cif", name.replace('"', ""))
        other = run_folder(tmp_path / f"other {file}", name, file)
        (other / f"{file}.cif").write_text(name)
        for a, b in ((run, files), (files, other)):
            sides = read_side(a), read_side(b)
            pages.append(page_html(comparison_page(*sides, list(compared(*sides)))))
    assert_text(pages[0], pages[2])
    assert_text(pages[1], pages[3])


def test_the_report_of_benchmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "rendered", lambda *_: b"<svg/>")  # pictures are in base64, and take seconds
    texts = []
    for name, file in ((EVIL, EVIL_NAME), (HARMLESS, HARMLESS)):
        environment = {
            **{"platform": name, "gpu_driver": name, "load_average": None},
            "cpu": {**CARD["cpu"], "model": name},
            "memory": CARD["memory"],
            "gpus": [{**CARD["gpus"][0], "name": name}],
            "versions": {name: name},
            "git": {"commit": name, "changed": False},
        }
        records = tmp_path / f"{file}.jsonl"
        for each in sweep((64,)):
            changed = {
                "requested": {**each.requested, "model": name, "memory": name},
                "resolved": {**each.resolved, "fingerprint": name},
            }
            reason = name if each.reason else None
            append_measurement(records, replace(each, environment=environment, reason=reason, **changed))
        report.write(records, tmp_path / "page.html")
        texts.append((tmp_path / "page.html").read_text())
    assert_text(*texts)


def test_a_comparison_in_a_notebook(tmp_path):
    """Chains and residues of that name, shown by name; updated and shown again."""
    pytest.importorskip("py3Dmol")
    texts = []
    for name, file in ((EVIL.replace('"', ""), EVIL_NAME), (HARMLESS, HARMLESS)):
        one, other = cif(tmp_path / f"{file}.cif", name), cif(tmp_path / f"{file}2.cif", name)
        viewer = lf.compare(one, other).view()
        assert repr(viewer) == "<structure viewer of py3Dmol>"
        texts.append(viewer._repr_html_() + lf.compare(one, other, names=(name, name)).view().write_html())
    assert_text(*texts)


def test_a_prediction_in_a_notebook():
    pytest.importorskip("py3Dmol")
    viewers = [predicted(known("3a4rA"), *range(1, 70), id=id).view() for id in (EVIL, HARMLESS)]
    assert_text(*(viewer.write_html() for viewer in viewers), present="hit")  # an id becomes a name of mmCIF


def test_what_shows_itself_in_a_notebook(tmp_path):
    """The cell's result, and the document in its frame."""
    texts, frames = [], []
    for name, file in ((EVIL.replace('"', ""), EVIL_NAME), (HARMLESS, HARMLESS)):
        prediction = predicted(known("3a4rA"), id=name)
        comparison = lf.compare(cif(tmp_path / f"{file}.cif", name), cif(tmp_path / f"{file}2.cif", name))
        texts.append(prediction._repr_html_() + comparison._repr_html_())
        frames.append([html.unescape(text) for text in re.findall(r'srcdoc="([^"]*)"', texts[-1])])
    assert_text(*texts)
    assert len(frames[0]) == 2
    for evil, harmless in zip(*frames, strict=True):
        assert_text(evil, harmless)


def test_what_is_added_to_a_viewer_later(monkeypatch):
    """To the one that is shown, by py3Dmol's `update`."""
    pytest.importorskip("py3Dmol")
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "publish_display_data", lambda data, metadata: shown.append(data["text/html"]))
    for id in (EVIL, HARMLESS):
        viewer = predicted(known("3a4rA")).view()
        viewer.write_html()
        viewer.addLabel(id, {})
        viewer.getModel(0).setStyle({"chain": id}, {})
        viewer.update()
        viewer.show()
    assert_text(shown[0] + shown[1], shown[2] + shown[3])
