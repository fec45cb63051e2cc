"""Protein sequences: FASTA in, chains checked."""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from ..errors import InputError
from .ids import MAX_ID, clean_id
from .molecules import refuse_nucleotides, refuse_other_molecules
from .records import Record, chain_label

__all__ = [
    "parse_sequence",
    "read_fasta",
]

_MAX_LISTED = 10
_REPLACED = "UZBOJ"
_NO_RESIDUE = re.compile(r"[^A-Za-z:]")
_NO_RESIDUE_NOR_MASK = re.compile(r"[^A-Za-z:*]")
_CONTROL = re.compile(rb"[\x02-\x08\x0e-\x1f\x7f]")  # not \x01, which parts the joined headers of NCBI's files
_COMPRESSED = {b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def read_fasta(
    path: str | Path,
    *,
    keep_unusual: bool = False,
    masked: bool = False,
    file_names: bool = True,
    allow_nucleotide_letters: bool = False,
) -> list[Record]:
    """Read every record of a FASTA file and check all of it.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input. A gzip file is known by its content, not by its name.
    keep_unusual : bool
        Whether U, Z, B, O and J stay as they are, for models that know them, and do not become X.
    masked : bool
        Whether ``*`` and ``<mask>``, which become ``*``, stand for masked residues; else they are refused.
    file_names : bool
        Whether ids become names of files: then they are made safe as such, and differ also where a file system ignores
        case. Else an id is the first word of its header as it is.
    allow_nucleotide_letters : bool
        Whether a chain that looks like DNA or RNA, see `lowmem_fold.sequences.molecules`, is taken as a protein; else
        it is refused. What a header calls DNA, RNA or a ligand is refused all the same.

    Returns
    -------
    list of Record
        At least one, with ids that differ.

    Raises
    ------
    InputError
        Names the file, the record, the chain and residue, the line, and what to do.
    """
    name = "standard input" if str(path) == "-" else str(path)
    text = _decode(_gunzip(_read_bytes(path, name), name), name)
    letters = _Letters(keep_unusual, masked, allow_nucleotide_letters)
    records = [entry.record(letters, file_names) for entry in _split_records(text, name)]
    _refuse_same_ids(records, name, file_names)
    return records


def parse_sequence(
    text: str,
    id: str = "sequence",
    *,
    keep_unusual: bool = False,
    masked: bool = False,
    allow_nucleotide_letters: bool = False,
    name: str | None = None,
) -> Record:
    """Check one sequence, its chains separated by ``:``; white space and line ends in it are ignored.

    keep_unusual, masked, allow_nucleotide_letters: as of `read_fasta`. name: what errors call it, by default its id.

    Raises
    ------
    InputError
        Names the chain, the residue and the character.
    """
    name = name or f"sequence {id!r}"
    if text.lstrip().startswith(">"):
        raise InputError(f"{name} begins with '>': this is FASTA. Save it in a file and give that with -i.")
    if not id.strip():
        raise InputError("the sequence has an empty id: give it a name, it becomes the file name.")
    entry = _Entry(name, id, 0, list(enumerate(_lines(text), 1)))
    return entry.record(_Letters(keep_unusual, masked, allow_nucleotide_letters), True)


@dataclass(frozen=True)
class _Letters:
    """What letters of a sequence are taken: the options of `read_fasta`."""

    keep_unusual: bool
    masked: bool
    allow_nucleotides: bool


@dataclass
class _Entry:
    """A record as it stands in the file: its lines with their numbers."""

    source: str
    header: str
    line: int
    lines: list[tuple[int, str]] = field(default_factory=list)

    def record(self, wanted: _Letters, file_name: bool) -> Record:
        if self.line:
            refuse_other_molecules(self.header, self._name())
        if wanted.masked:
            self.lines = [(number, line.replace("<mask>", "*")) for number, line in self.lines]
        letters = "".join(line for _, line in self.lines)
        if not letters:
            raise InputError(f"{self._name()}: there is no sequence. Add it, or remove the record.")
        self._refuse_letters(letters, _NO_RESIDUE_NOR_MASK if wanted.masked else _NO_RESIDUE)
        self._refuse_empty_chains(letters)
        chains = letters.upper().split(":")
        if not wanted.allow_nucleotides:
            refuse_nucleotides(chains, self._name())
        id = clean_id(self.header) if file_name else _first_word(self.header)
        if wanted.keep_unusual:
            return Record(id, self.header, tuple(chains), (), self.source)
        cleaned = [re.sub(f"[{_REPLACED}]", "X", chain) for chain in chains]
        warnings = [_replaced(index, chain) for index, chain in enumerate(chains) if set(chain) & set(_REPLACED)]
        return Record(id, self.header, tuple(cleaned), tuple(warnings), self.source)

    def _name(self) -> str:
        return f"{self.source}, {_short(self.header)}" if self.line else self.source

    def _refuse_letters(self, letters: str, refused: re.Pattern[str]) -> None:
        found = refused.search(letters)
        if not found:
            return
        at = found.start()
        chain = letters.count(":", 0, at)
        place = f"chain {chain_label(chain)}, position {at - letters.rfind(':', 0, at)}{self._line_of(at)}"
        more = len(refused.findall(letters)) - 1
        others = f" (and {more} more such character{'s' * (more > 1)})" if more else ""
        at_end = letters[at + 1 : at + 2] in ("", ":")
        raise InputError(
            f"{self._name()}: {place}: {found[0]!r} is not an amino acid{others}. {_cure(found[0], at_end)}"
        )

    def _refuse_empty_chains(self, letters: str) -> None:
        found = re.search("^:|:(?=:)|:$", letters)
        if not found:
            return
        at = found.start()
        if at == 0:
            where = "there is no chain before the first ':'"
        elif at == len(letters) - 1:
            where = "there is no chain after the last ':'"
        else:
            where = f"chain {chain_label(letters.count(':', 0, at + 1))} is empty, two ':' follow one another"
        raise InputError(
            f"{self._name()}: {where}{self._line_of(at)}. Put one ':' between chains and none at the ends."
        )

    def _line_of(self, at: int) -> str:
        """Where a letter of the joined lines stands in the file; nothing for a sequence that came from no file."""
        ends = accumulate(len(line) for _, line in self.lines)
        number = next(number for (number, _), end in zip(self.lines, ends, strict=True) if at < end)
        return f" (line {number})" if self.line else ""


def _cure(character: str, at_end: bool) -> str:
    if character == "*" and at_end:
        return "A '*' at the end is a stop codon of a translation: remove it."
    if character == "*":
        return "A '*' inside a sequence is a stop codon: check the reading frame, or split the sequence there."
    if character in "-.~":
        return "In an alignment this is a gap: give the sequence without gaps."
    if character.isdigit():
        return "Remove the numbers; a sequence has letters only."
    return "Use the letters of the 20 amino acids, X for an unknown one, and ':' between chains."


def _replaced(index: int, chain: str) -> str:
    found = [f"{letter} at {place}" for place, letter in enumerate(chain, 1) if letter in _REPLACED]
    listed = ", ".join(found[:_MAX_LISTED])
    more = f", and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    return f"chain {chain_label(index)}: {len(found)} residue{'s' * (len(found) > 1)} replaced by X ({listed}{more})"


def _first_word(header: str) -> str:
    words = header.replace("\x01", " ").split()
    return words[0] if words else "_"


def _refuse_same_ids(records: list[Record], name: str, file_names: bool) -> None:
    seen: dict[str, Record] = {}
    how = f", unsafe characters replaced, {MAX_ID} characters, upper and lower case alike" if file_names else ""
    for record in records:
        other = seen.setdefault(record.id.lower() if file_names else record.id, record)
        if other is not record:
            raise InputError(
                f"{name}: two records share one name: {_where(other)} and {_where(record)}. Both would be written as "
                f"{record.id!r} (first word of the header{how}). Rename one."
            )


def _where(record: Record) -> str:
    return f"{_short(record.header)}, {record.source.rpartition(', ')[2]}"


def _short(header: str) -> str:
    return repr(header if len(header) <= 60 else header[:57] + "...")


def _split_records(text: str, name: str) -> list[_Entry]:
    entries: list[_Entry] = []
    for number, line in enumerate(_lines(text), 1):
        if line.startswith(">"):
            entries.append(_Entry(f"{name}, record {len(entries) + 1} (line {number})", _header(line), number))
            if not entries[-1].header:
                raise InputError(f"{entries[-1].source}: the header is empty. Write a name after '>'.")
        elif line and not entries:
            raise InputError(
                f"{name}, line {number}: text before the first '>'. A FASTA file has a line '>name' above each "
                "sequence; a bare sequence can be given with --sequence."
            )
        elif line:
            entries[-1].lines.append((number, line))
    if not entries:
        raise InputError(f"{name}: no records, only blank lines. A FASTA file has '>name' lines with sequences below.")
    return entries


def _lines(text: str) -> list[str]:
    """Lines of a file from any system. Sequence lines lose their white space, headers that at their ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.strip() if line.lstrip().startswith(">") else "".join(line.split()) for line in lines]


def _header(line: str) -> str:
    return line[1:].strip()


def _read_bytes(path: str | Path, name: str) -> bytes:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read()
        elif Path(path).is_dir():
            raise InputError(f"{name}: a directory. Give one FASTA file; join several with: cat {name}/*.fasta")
        else:
            data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name}: no such file.{_not_a_file(name)}") from None
    except PermissionError:
        raise InputError(f"{name}: no permission to read it. Ask its owner, or give a copy that is yours.") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}).{_not_a_file(name)}") from None
    if not data:
        what = "the file is empty" if str(path) != "-" else "nothing arrived"
        raise InputError(f"{name}: {what}. Give a FASTA file: a line '>name' above each sequence.")
    return data


def _not_a_file(name: str) -> str:
    looks_like_sequence = re.fullmatch(r"[A-Za-z:]{10,}", name)
    return " To fold a sequence itself, give it with --sequence." if looks_like_sequence else " Check the path."


def _gunzip(data: bytes, name: str) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        text = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{name}: a damaged or cut gzip file. Copy or download it again.") from None
    if not text:
        raise InputError(f"{name}: the file is empty (a gzip file with nothing in it). Compress the FASTA file again.")
    return text


def _decode(data: bytes, name: str) -> str:
    if _is_utf16(data):
        raise InputError(f"{name}: saved as UTF-16 or UTF-32. Save it again as plain text or UTF-8.")
    packed = next((kind for magic, kind in _COMPRESSED.items() if data.startswith(magic)), None)
    if b"\x00" in data or _CONTROL.search(data):
        kind = f"a {packed} archive; only gzip is unpacked" if packed else "a binary file, not FASTA text"
        raise InputError(f"{name}: {kind}. Give a FASTA file.")
    try:
        return data.decode("utf-8").replace("\ufeff", "")  # the mark also stands inside files that were joined
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an old header with accents; a sequence with such a letter is refused below


def _is_utf16(data: bytes) -> bool:
    """By its mark, or by text in which every other byte is zero."""
    head = data[:512]
    return head[:2] in (b"\xff\xfe", b"\xfe\xff") or any(
        len(head) >= 4 and not any(head[start::2]) and all(head[1 - start :: 2]) for start in (0, 1)
    )
