"""The page says what the records hold, escaped, and asks nothing of any other place."""

from __future__ import annotations

import base64
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lowmem_fold.bench import report
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.errors import InputError
from tests.bench.sweeps import CARD, fold, sweep


class _Page(HTMLParser):
    """Tables as lists of rows of texts; what is open must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def written(folder: Path, measurements: list[Measurement], name: str = "run.jsonl") -> str:
    for measurement in measurements:
        append_measurement(folder / name, measurement)
    report.write(folder / name, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"), sweep())


@pytest.fixture(scope="module")
def tables(text: str) -> list[list[list[str]]]:
    page = _Page(text)
    assert page.open == []
    return page.tables


def test_a_row_for_each_fold(tables: list) -> None:
    head, *rows = tables[1]
    assert len(rows) == 9
    row = dict(zip(head[1:], rows[0][1:], strict=True))
    assert rows[0][:2] == ["lowmem_fold fp32", "64"]
    assert row["fold, s"] == "3.2 (2.88 to 3.84, 3)"
    assert rows[0][5] == "0.50" and rows[0][7] == "0.25"
    assert row["peak"] == "1.00 GiB" and row["planned"] == "1.00 GiB" and row["pTM"] == "0.250"
    assert row["activations"] == "64.0 MiB" and [head[i] for i in (5, 7, 10)] == ["÷ stock fp32"] * 3
    assert rows[0][10] == "0.25" and "taken from the card" not in head


def test_a_card_has_what_it_gave_besides(tmp_path: Path) -> None:
    sizes = {"allocated_peak_bytes": [2**30], "device_process_peak_bytes": [3 * 2**30], "predicted_peak_bytes": [2**31]}
    record = fold(environment=CARD, resolved={"device": "cuda:0"}, samples=sizes)
    facts, (head, row) = _Page(written(tmp_path, [record])).tables[:2]
    told = dict(zip(head, row, strict=True))
    assert (told["peak"], told["taken from the card"], told["planned"]) == ("1.00 GiB", "3.00 GiB", "2.00 GiB")
    assert dict(facts)["GPU"] == "A card" and dict(facts)["Driver"] == "550" and "reserved by torch" not in head


def test_a_fold_by_itself_has_no_range_and_mapped_files_are_told(tmp_path: Path) -> None:
    record = fold(samples={"seconds": [3.21], "resident_peak_bytes": [3 * 2**30]})
    head, row = _Page(written(tmp_path, [record])).tables[1]
    told = dict(zip(head, row, strict=True))
    assert (told["fold, s"], told["with mapped files"]) == ("3.21", "3.00 GiB")


def test_what_gave_no_fold_says_why(tables: list) -> None:
    assert tables[2][1:] == [["stock fp32", "512", "oom", "DefaultCPUAllocator: can't allocate <memory>"]]


def test_ratios_name_each_peer(tables: list) -> None:
    head, *rows = tables[3]
    assert head == ["", "residues", "÷ stock fp32"]
    assert rows[1] == ["lowmem_fold int8", "64", "0.20, 0.20, 0.60"]


def test_accuracy_has_median_worst_and_interval(tables: list) -> None:
    head, *rows = tables[4]
    assert head == ["", "chains", "CA-RMSD, Å", "lDDT-CA"]
    values = [0.64, 1.28, 2.56]
    assert rows == [["lowmem_fold int8", "3", *rows[0][2:]]]
    assert rows[0][2] == f"{statistics.median(values):.3f}, {max(values):.3f} [0.640, 2.560]"
    assert rows[0][3].startswith("0.987, 0.974 [")  # of a score the smallest is the worst


def test_the_machine_is_told(tables: list) -> None:
    facts = dict(tables[0])
    assert (
        facts["Processor"] == "A CPU, 2 cores; threads of torch: 2" and facts["Versions"] == "python 3.11, torch 2.13"
    )
    assert facts["Commit"] == "0123abc" and facts["Model"] == "demo, fingerprint f00" and "GPU" not in facts


def test_pictures_are_inside_light_and_dark(text: str) -> None:
    found = re.findall(
        r'<picture><source media="\(prefers-color-scheme: dark\)" srcset="data:image/svg\+xml;base64,([^"]+)">'
        r'<img alt="[^"]+" src="data:image/svg\+xml;base64,([^"]+)"></picture>',
        text,
    )
    assert len(found) == 5
    for dark, light in found:
        assert dark != light
        for image in (dark, light):
            assert ElementTree.fromstring(base64.b64decode(image)).tag.endswith("svg")
    assert "@media (prefers-color-scheme: dark)" in text


def test_nothing_comes_from_elsewhere(text: str) -> None:
    assert "<script" not in text and "@import" not in text and "url(" not in text
    links = [value for _, name, value in _Page(text).attributes if name in ("src", "href", "srcset")]
    assert links and all(str(value).startswith("data:") for value in links)


def test_names_are_escaped(tmp_path: Path) -> None:
    """Of files, models, cards and reasons: whatever the records hold is text."""
    bad = "<script>alert('&\"')</script>"
    record = fold(requested={"model": bad}, resolved={"fingerprint": bad})
    environment = {**record.environment, "platform": bad, "cpu": {**record.environment["cpu"], "model": bad}}
    lost = replace(record, environment=environment, status="failed", reason=bad, samples={})
    text = written(tmp_path, [record, lost], name="<b>&.jsonl")
    assert "<script" not in text and "<b>" not in text
    assert "&lt;script&gt;alert(&#x27;&amp;&quot;&#x27;)&lt;/script&gt;" in text and "&lt;b&gt;&amp;.jsonl" in text


def test_the_same_records_give_the_same_page(tmp_path: Path, text: str) -> None:
    first = written(tmp_path, sweep((64,)))
    report.write(tmp_path / "run.jsonl", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == first != text


def test_without_records_of_a_sweep(tmp_path: Path) -> None:
    append_measurement(tmp_path / "other.jsonl", replace(fold(), benchmark="seconds"))
    with pytest.raises(InputError, match=r"other\.jsonl: no record of lowmem-fold bench"):
        report.write(tmp_path / "other.jsonl", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    append_measurement(tmp_path / "run.jsonl", replace(fold(), status="timeout", reason="not done", samples={}))
    with pytest.raises(InputError, match=r"nowhere/page\.html: cannot be written: No such file"):
        report.write(tmp_path / "run.jsonl", tmp_path / "nowhere" / "page.html")
