"""``scores.jsonl``: one line for each record of an output folder, failures included."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..system.files import open_own

__all__ = ["FAILED", "INCOMPLETE", "OK", "SUSPECT", "ScoreTable", "read_lines", "summary_line"]

OK, INCOMPLETE, SUSPECT, FAILED = "ok", "incomplete", "suspect", "failed"

#: Entries of ``<id>.scores.json`` that grow with the record, or are of its files: its line leaves them out.
_LEFT_OUT = ("plddt", "chain_pair_iptm", "chain_pair_pae", "problems", "files")


def summary_line(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a finished record: its scores without the long entries."""
    return {key: value for key, value in scores.items() if key not in _LEFT_OUT}


class ScoreTable:
    """The lines of ``scores.jsonl``, in memory and in the file.

    A new line is appended by one write; a line that takes another's place has the file written anew and put in place
    of the old one. A kill can so leave a torn last line and nothing worse, and ``repair`` removes that.

    Parameters
    ----------
    path : Path
    replace : callable
        ``replace(path, text)`` writes a file whole or not at all.
    """

    def __init__(self, path: Path, replace: Callable[[Path, str], object]) -> None:
        self._path = path
        self._replace = replace
        self._lines = read_lines(path)
        self._whole = path.exists() and path.read_bytes() == self._text().encode()

    @property
    def ids(self) -> list[str]:
        return list(self._lines)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return list(self._lines.values())

    def repair(self, finished: Mapping[str, Mapping[str, Any]], order: Sequence[str] = ()) -> None:
        """Make the file agree with the finished records of the folder.

        Parameters
        ----------
        finished : Mapping
            Their lines by id, added where missing. Lines of records whose files are gone are dropped, but those of
            failures are kept.
        order : sequence of str
            Ids as they stand in the input: lines of others come after these.
        """
        kept = {id: line for id, line in self._lines.items() if id in finished or line.get("status") == FAILED}
        self._lines = kept | {id: dict(line) for id, line in finished.items()}
        self._arrange(order)
        if not (self._path.exists() and self._path.read_bytes() == self._text().encode()):
            self._rewrite()

    def arrange(self, order: Sequence[str]) -> None:
        """Put the lines in the order of the input, those of other records after them."""
        before = self.ids
        self._arrange(order)
        if self.ids != before:
            self._rewrite()

    def _arrange(self, order: Sequence[str]) -> None:
        first = {id: self._lines[id] for id in order if id in self._lines}
        self._lines = first | {id: line for id, line in self._lines.items() if id not in first}

    def put(self, line: Mapping[str, Any]) -> None:
        """Add the line of a record, in place of the one it has."""
        taken = line["id"] in self._lines
        self._lines[line["id"]] = dict(line)
        if taken or not self._whole:
            self._rewrite()
        else:
            self._append(_as_text(line))

    def _append(self, text: str) -> None:
        self._whole = False  # until the line is there whole: a full disk may take a part of it
        descriptor = open_own(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            data = text.encode()
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)
        self._whole = True

    def _rewrite(self) -> None:
        self._whole = False
        self._replace(self._path, self._text())
        self._whole = True

    def _text(self) -> str:
        return "".join(map(_as_text, self._lines.values()))


def _as_text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, allow_nan=False) + "\n"


def read_lines(path: Path) -> dict[str, dict[str, Any]]:
    """The lines that can be read, by id; of two with one id the later."""
    if not path.exists():
        return {}
    lines: dict[str, dict[str, Any]] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("id"), str):
            lines.pop(line["id"], None)
            lines[line["id"]] = line
    return lines
