"""The text of a page: what it holds, what its policy lets run, and what it is written over."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import zlib

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.fasta import parse_sequence
from lowmem_fold.view.library import ADDRESS, read_library, shipped_library
from lowmem_fold.view.page import page_html, write_page
from lowmem_fold.view.run import read_run
from lowmem_fold.view.run_page import run_page
from tests.fake_run import helix, make_records
from tests.view.runs import failed, written

EVIL = '</script><script>window.hit=1</script><img src=x onerror="window.hit=1">{{script}}'


class Elements(html.parser.HTMLParser):
    """Each start tag, and the text of the scripts by their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and data.strip():
            self.scripts.append((self.tags[-1][1], data))

    def block(self, id: str) -> dict:
        text = next(data for attributes, data in self.scripts if attributes.get("id") == id)
        return json.loads(zlib.decompress(base64.b64decode(text)))

    @property
    def data(self) -> dict:
        return json.loads(next(data for attributes, data in self.scripts if attributes.get("id") == "data"))


def page_of(folder) -> Elements:
    return Elements(page_html(run_page(read_run(folder))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    one, two = make_records(30, 20)
    couple = parse_sequence("ACDEF:GHIK", "couple")
    notes = {"header": EVIL, "warnings": [EVIL], "precision": "int4"}
    return written(
        tmp_path_factory.mktemp("runs") / "a<b>&",
        [helix(one), (helix(two), notes), helix(couple)],
        [failed("broken")],
        save_pae=True,
    )


def test_table(folder):
    data = page_of(folder).data
    assert data["title"] == "a<b>&"
    assert data["subtitle"] == "demo · int8 · cpu · 2026-01-02 03:04:05 · 3 ok, 1 failed"
    assert [column["key"] for column in data["columns"]] == [
        *("id", "length", "mean_plddt", "ptm", "iptm", "seconds", "peak_bytes", "status")
    ]
    assert data["records"][2] == {
        **{"id": "couple", "header": "", "length": 9, "mean_plddt": 80.5, "ptm": 0.75, "iptm": 0.5},
        **{"seconds": 1.5, "peak_bytes": 3 * 2**29, "status": "ok", "drawn": True},
    }
    assert [record["drawn"] for record in data["records"]] == [True, True, True, False]
    assert ["resolved precision", "int8"] in data["settings"]


def test_a_run_without_complexes_has_no_column_for_them(tmp_path):
    written(tmp_path, [helix(make_records(5)[0])])
    assert "iptm" not in [column["key"] for column in page_of(tmp_path).data["columns"]]


def test_record(folder):
    page = page_of(folder)
    record = page.block("record-2")
    assert record["chains"] == [{"id": "A", "numbers": [1, 2, 3, 4, 5]}, {"id": "B", "numbers": [1, 2, 3, 4]}]
    assert record["models"][0]["text"] == (folder / "couple.pdb").read_text()
    assert record["curves"][0]["series"][0]["values"] == [80.5] * 9
    assert record["errors"] == {"bins": 9, "limit": 31.75}
    text = next(data for attributes, data in page.scripts if attributes.get("id") == "errors-2")
    assert zlib.decompress(base64.b64decode(text)) == bytes([4]) * 81
    broken = page.block("record-3")
    assert "models" not in broken and broken["notes"] == ["out of memory: <b>6 GiB</b>"]
    assert page.block("record-1")["notes"] == [EVIL]
    assert ["Precision, lower than requested", "int4"] in page.block("record-1")["facts"]


def test_what_records_say_is_data(folder):
    page = page_of(folder)
    assert page.data["records"][1]["header"] == EVIL
    runs = [attributes for tag, attributes in page.tags if tag == "script" and "type" not in attributes]
    assert runs == [{}]  # the page's own
    assert not [tag for tag, _ in page.tags if tag in ("img", "b")]


def test_policy_lets_the_own_script_run_and_no_other(folder):
    page = page_of(folder)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    own = next(text for attributes, text in page.scripts if not attributes)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    held = base64.b64encode(hashlib.sha256(shipped_library()).digest()).decode()
    assert f"script-src 'sha256-{digest}' 'sha256-{held}';" in policy
    assert policy.startswith("default-src 'none'; ")
    other = Elements(page_html(run_page(read_run(folder)), cdn=True))
    policy = next(a["content"] for tag, a in other.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}' {ADDRESS};" in policy


def test_library_in_the_page(folder, tmp_path):
    copy = tmp_path / "3Dmol-min.js"
    copy.write_text("createViewer // 3Dmol </script>")
    for library, expected in ((read_library(copy), copy.read_bytes()), (None, shipped_library())):
        text = page_html(run_page(read_run(folder)), library)
        assert "https://" not in text
        page = Elements(text)
        assert page.data["library"]["address"] is None
        held = next(data for attributes, data in page.scripts if attributes.get("id") == "library")
        assert zlib.decompress(base64.b64decode(held)) == expected
    small = page_html(run_page(read_run(folder)), cdn=True)
    assert ADDRESS in small and len(small) < len(text) - 200_000


def test_a_page_is_written_over_a_page_alone(folder, tmp_path):
    text = page_html(run_page(read_run(folder)))
    path = tmp_path / "new" / "page.html"
    write_page(path, text)
    write_page(path, text + " ")
    assert path.read_text().endswith(" ")
    path.write_text("<html>mine</html>")
    with pytest.raises(InputError, match="not a page of lowmem-fold"):
        write_page(path, text)
    assert path.read_text() == "<html>mine</html>"
    with pytest.raises(InputError, match=r"written as \.html"):
        write_page(folder / "r0.pdb", text)
    with pytest.raises(InputError, match="cannot be written"):
        write_page(path / "below.html", text)


def luminance(color: str) -> float:
    """Of WCAG 2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(folder, theme):
    style = re.search(r"<style>(.*?)</style>", page_html(run_page(read_run(folder))), re.DOTALL)[1]
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme]))
    grounds = ("page", "panel", "hover", "chosen")
    pairs = [(text, ground) for text in ("text", "muted") for ground in grounds]
    pairs += [(kind, f"{kind}-ground") for kind in ("good", "warn", "bad")]
    for text, ground in pairs:
        assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    for mark in ("mark", "mark-from", "accent"):
        assert contrast(colors[mark], colors["panel"]) >= 3, mark
