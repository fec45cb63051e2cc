"""What became of the records of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .table import FAILED, SUSPECT

__all__ = ["RunSummary"]


@dataclass
class RunSummary:
    """Ids of the records of a run, by what became of them.

    Attributes
    ----------
    folded : list of str
        Written in this run, those of ``suspect`` included.
    suspect : list of str
        Written, with a reason for which the result cannot be true.
    failed : list of str
        Not folded; the reason is in ``scores.jsonl``, the traceback in the log.
    skipped : list of str
        Finished before.
    lowered : list of str
        Written, but folded in a lower precision than asked for, as ``RunOptions.allow_precision`` let them be.
    incomplete : list of str
        Written as mmCIF only, as their coordinates leave the columns of a PDB file.
    damaged : list of str
        Finished before, but folded again: a file was not any more what had been written, or their scores could not be
        read.
    absent : list of str
        In the folder, and not in the input.
    other_files : list of str
        Names of files of these records that come from an earlier fold, in a format that was not asked for now.
    """

    folded: list[str] = field(default_factory=list)
    suspect: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    lowered: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    other_files: list[str] = field(default_factory=list)

    def add(self, line: Mapping[str, Any]) -> None:
        """Take in a record by its line of ``scores.jsonl``."""
        id = line["id"]
        if line["status"] == FAILED:
            self.failed.append(id)
            return
        self.folded.append(id)
        if line["status"] == SUSPECT:
            self.suspect.append(id)
        if "precision" in line:
            self.lowered.append(id)
        if line.get("left_out"):
            self.incomplete.append(id)
