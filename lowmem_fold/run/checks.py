"""What is checked before a run, which may write into a folder only if nothing is mixed and nothing overwritten unasked;
and so what is left to fold. Reads only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..predictions.pdb import refuse_large
from ..sequences.ids import check_id
from ..sequences.molecules import refuse_nucleotides
from ..sequences.residues import existing_atoms
from ..system.files import nearest_existing
from ..system.lock import FolderLock
from ..system.settings import differing_settings, settings_id
from .options import RunOptions, known_settings
from .output import CSV, TABLE, OutputFolder
from .result_files import StoredResult
from .run_config import CONFIG, read_config
from .stem_cache import StemCache

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["unfinished"]

_MAX_LISTED = 3
_NAMES = {
    "fingerprint": "--model",
    "num_recycles": "--num-recycles",
    "recycle_tolerance": "--recycle-tolerance",
    "lowmem_fold": "version of lowmem-fold",
}


def unfinished(
    output: OutputFolder, records: Sequence[Record], options: RunOptions, settings: Mapping[str, Any] | None = None
) -> list[Record]:
    """Refuse a run that cannot write into the folder, or would mix or overwrite results there; else return the records
    that are left to fold.

    Parameters
    ----------
    output : OutputFolder
    records : sequence of Record
        All records of the input.
    options : RunOptions
    settings : Mapping, optional
        Those that decide the numbers. None: no model is loaded yet. Then the records, the lock and the cache of the
        language model's results are checked too, and a record counts as finished by what is known without a model.

    Raises
    ------
    InputError
        Names what stands in the way, and how to go on.
    """
    _refuse_place(output)
    output.refuse_links()
    if settings is not None:
        _checked_config(output, records, options, settings)
        return output.unfinished(records, options, settings)
    for record in records:
        check_id(record.id)
        if not options.allow_nucleotide_letters:
            refuse_nucleotides(record.chains, record.source or record.id)
        if ".pdb" in options.endings:  # better now than after hours of folding
            refuse_large(record.id, record.chains, int(existing_atoms("".join(record.chains)).sum()))
    config = _checked_config(output, records, options, known_settings(options))
    if output.path.is_dir():
        FolderLock(output.path).check()
    if options.stem_cache is not None:
        StemCache(Path(options.stem_cache), {}).check()
    if config is None or config["settings"].get("model") != options.model:
        return list(records)
    return output.unfinished(records, options, config["settings"])


def _checked_config(
    output: OutputFolder, records: Sequence[Record], options: RunOptions, settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What ``config.json`` says, if there is one, and results that are there agree with it and the settings."""
    if not output.path.is_dir():
        return None
    config = read_config(output.path / CONFIG, options.adopt, output.is_of_a_run)
    if config is None and not output.is_of_a_run():
        _refuse_foreign_files(output, records, options)
        return None
    if output.has_foreign_csv() and not options.overwrite:
        raise InputError(
            f"{output.path / CSV}: is not from lowmem-fold and would be overwritten. Rename it, or give another folder "
            "with -o."
        )
    results = output.read_results()
    if config is None:
        _refuse_without_config(output, settings, records, options, results)
    elif results:
        _refuse_mixture(output, config["settings"], settings, records, options, results)
    _refuse_other_sequences(output, records, options, results)
    return config


def _refuse_place(output: OutputFolder) -> None:
    place = nearest_existing(output.path)
    if not place.is_dir():
        raise InputError(f"{place}: is a file, and results go into a folder. Give another one with -o.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{place}: no permission to write there. Give another folder with -o.")


def _refuse_foreign_files(output: OutputFolder, records: Sequence[Record], options: RunOptions) -> None:
    names = [TABLE, CSV, *(record.id + ending for record in records for ending in options.endings)]
    there = [name for name in names if (output.path / name).exists()]
    if there and not options.overwrite:
        raise InputError(
            f"{output.path}: {_listed(there)} would be overwritten, and no run of lowmem-fold wrote here (there is no "
            "config.json). Give another folder with -o, or add --overwrite."
        )


def _refuse_without_config(
    output: OutputFolder,
    settings: Mapping[str, Any],
    records: Sequence[Record],
    options: RunOptions,
    results: Mapping[str, StoredResult],
) -> None:
    """Each result states a hash of its settings: only what has that of the settings now is known to belong to them."""
    if not (options.adopt or options.overwrite):
        raise InputError(
            f"{output.path}: the config.json of the run that wrote here ({_counted(len(results))} finished) is lost. "
            "Add --adopt, with the options of that run, to have it written anew and resume; or give another folder "
            "with -o."
        )
    if "fingerprint" not in settings:  # known once the model is loaded
        return
    current = settings_id(settings)
    ids = {record.id for record in records}
    other = [
        id for id, result in results.items() if result.settings_id != current and not (options.overwrite and id in ids)
    ]
    if other:
        raise InputError(
            f"{output.path}: {_listed(other)} came from other settings than those given now (or from another "
            "version of lowmem-fold or another model). Give the options of the run that wrote them, or another folder "
            "with -o; or add --overwrite to fold again what the input has."
        )


def _refuse_mixture(
    output: OutputFolder,
    stored: Mapping[str, Any],
    settings: Mapping[str, Any],
    records: Sequence[Record],
    options: RunOptions,
    results: Mapping[str, StoredResult],
) -> None:
    differing = differing_settings(stored, settings)
    table = "".join(_row(key, stored, settings) for key in differing)
    if differing and not options.overwrite:
        raise InputError(
            f"{output.path}: the {_counted(len(results))} in this folder came from other settings:{table}\n"
            "Results of two kinds are not mixed in one folder. Give another folder with -o, or add --overwrite to fold "
            "them again."
        )
    # Without a difference, results of older settings are what a stopped run with --overwrite has not come to.
    current = None if differing else settings_id(stored)
    old = {id for id, result in results.items() if result.settings_id != current}
    left = sorted(old - {record.id for record in records})
    if left:
        raise InputError(
            f"{output.path}: {_listed(left)} came from other settings, and the input does not have "
            f"{'them' if len(left) > 1 else 'it'}: old and new results would be mixed.{table}\n"
            "Give another folder with -o, or an input with every record of this one."
        )


def _refuse_other_sequences(
    output: OutputFolder, records: Sequence[Record], options: RunOptions, results: Mapping[str, StoredResult]
) -> None:
    by_name = {id.lower(): result for id, result in results.items()}
    for record in records:
        result = by_name.get(record.id.lower())
        if result is None:
            continue
        if result.id != record.id:
            raise InputError(
                f"{record.source}: {record.id!r} differs from {result.id!r} in {output.path} by upper and lower case "
                "only, and many systems keep one file for both. Rename it, or give another folder with -o."
            )
        if result.sequence != record.sequence and not options.overwrite:
            there = len(result.sequence.replace(":", ""))
            raise InputError(
                f"{record.source}: {output.path} has a result for {record.id!r} from another sequence "
                f"({_counted(there, 'residue')} there, {record.length} now). Rename the record, give another folder "
                "with -o, or add --overwrite to replace the result."
            )


def _row(key: str, stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    return f"\n  {_NAMES.get(key, key)}: {_shown(key, stored)} there, {_shown(key, settings)} now"


def _shown(key: str, settings: Mapping[str, Any]) -> str:
    if key == "fingerprint":
        return f"{settings.get('model')} (fingerprint {str(settings.get(key))[:12]})"
    value = settings.get(key)
    return "none" if value is None else str(value)


def _counted(number: int, noun: str = "record") -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
