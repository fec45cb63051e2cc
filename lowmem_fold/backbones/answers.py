"""What a long run has found so far, so that the next one need not find it again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError
from ..system.files import open_own, write_text_atomic
from .queries import Answer, Query

__all__ = ["AnswerFile", "differences"]


class AnswerFile:
    """The answers to queries, in a file of one JSON object a line: the settings first, then each answer as it comes.

    A kill leaves a torn last line at worst, which is not counted.

    Parameters
    ----------
    path : Path
    settings : mapping
        What decides the numbers, JSON-able.
    overwrite : bool
        Whether a file with other settings is begun anew.

    Raises
    ------
    InputError
        The file has other settings: names them.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        self._path = path
        lines = _read(path)
        stored = lines[0].get("settings") if lines else None
        if stored is not None and stored != dict(settings) and not overwrite:
            raise InputError(
                f"{path} was begun with other settings: {differences(stored, settings)}. Go on with the former ones, "
                "or add --overwrite to begin anew"
            )
        kept = lines[1:] if stored == dict(settings) else []
        self._settings, self._asked = dict(settings), set[str]()
        self._answers = {line["query"]: line["log_probabilities"] for line in kept}
        self._write(self._answers)
        descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8", newline="\n")

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def used(self) -> int:
        """Answers that were there at the start and have been asked for."""
        return len(self._asked)

    @property
    def others(self) -> int:
        """Answers that were there at the start and have not been asked for: those of another input."""
        return len(self._answers) - len(self._asked)

    def get(self, query: Query) -> Answer | None:
        """The answer that was there at the start, or None."""
        key = query.key
        values = self._answers.get(key)
        if values is None:
            return None
        self._asked.add(key)
        return dict(zip(query.letters, values, strict=True))

    def add(self, query: Query, answer: Answer) -> None:
        """Write an answer down."""
        line = {"query": query.key, "log_probabilities": [answer[letter] for letter in query.letters]}
        self._file.write(_text(line))
        self._file.flush()

    def finish(self) -> None:
        """The run is over: close the file, and delete it, but for answers that were there and not asked for."""
        self._file.close()
        if self.others:
            self._write({key: values for key, values in self._answers.items() if key not in self._asked})
        else:
            with suppress(FileNotFoundError):
                self._path.unlink()

    def _write(self, answers: Mapping[str, Any]) -> None:
        lines = ({"query": key, "log_probabilities": values} for key, values in answers.items())
        write_text_atomic(self._path, "".join(map(_text, [{"settings": self._settings}, *lines])))


def differences(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The settings that are not the same, with both values."""
    names = [name for name in {**stored, **settings} if stored.get(name) != settings.get(name)]
    return ", ".join(f"{name} {stored.get(name)} there, {settings.get(name)} now" for name in names)


def _read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file, if its first one is the settings."""
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    whole = bool(lines) and "settings" in lines[0] and all("query" in line for line in lines[1:])
    return lines if whole else []


def _text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, allow_nan=False) + "\n"
