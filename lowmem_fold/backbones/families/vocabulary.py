"""The vocabulary that lies beside a model's weights, read without its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...checkpoints.checkpoint import VOCABULARY_FILES
from ...errors import ModelError, first_line
from .family import AMINO_ACIDS

__all__ = ["NON_STANDARD", "read_vocabulary", "residue_tokens"]

#: Letters besides those of the 20 amino acids: any residue, selenocysteine, Q or E, pyrrolysine, N or D, L or I.
NON_STANDARD = "XUZOBJ"

_WORD_START = "\u2581"  # sentencepiece's mark of a space before a piece
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_PIECES, _PIECE_TEXT = 1, 1  # fields of sentencepiece_model.proto: ModelProto.pieces, SentencePiece.piece


def read_vocabulary(folder: Path) -> dict[str, int] | None:
    """Tokens and their ids, of `vocab.txt`, `tokenizer.json` or `spiece.model`; None where none of them is there.

    ModelError if the file is damaged.
    """
    path = next((folder / name for name in VOCABULARY_FILES if (folder / name).exists()), None)
    if path is None:
        return None
    try:
        return _reader(path.name)(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"{path} holds no vocabulary that can be read ({first_line(error)})") from error


def _reader(name: str) -> Callable[[Path], dict[str, int]]:
    """How the file of this name is read."""
    return dict(zip(VOCABULARY_FILES, (_lines, _json, _sentencepiece), strict=True))[name]


def _lines(path: Path) -> dict[str, int]:
    return {line.strip(): number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines())}


def _json(path: Path) -> dict[str, int]:
    """Of the library `tokenizers`: `model.vocab` is an object, or a list of pieces with their scores."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    if not isinstance(vocabulary, Mapping):
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    return _without_marks({**vocabulary, **added})


def _sentencepiece(path: Path) -> dict[str, int]:
    pieces = (body for field, body in _fields(path.read_bytes()) if field == _PIECES)
    texts = [next(text for field, text in _fields(piece) if field == _PIECE_TEXT).decode() for piece in pieces]
    return _without_marks({text: number for number, text in enumerate(texts)})


def _without_marks(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Residues are words of one letter: of a letter with the mark of a word's start and one without, the first."""
    marked = {token[1:]: number for token, number in vocabulary.items() if token[:1] == _WORD_START and token[1:]}
    return {**vocabulary, **marked}


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbers and bodies of the fields of a protocol buffer that are made of bytes; others are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("cut short")
            yield key >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError(f"no wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def residue_tokens(vocabulary: Mapping[str, int], unknown: str, unused: str = "") -> dict[str, int]:
    """The token of each residue letter. Letters that the vocabulary lacks, or that are `unused`, have `unknown`'s.

    ModelError if it lacks one of the 20: it is that of no protein language model.
    """
    if missing := [token for token in (*AMINO_ACIDS, unknown) if token not in vocabulary]:
        raise ModelError(f"a vocabulary without {', '.join(missing)} is not that of a protein language model")
    known = {letter: number for letter, number in vocabulary.items() if letter not in unused}
    return {letter: known.get(letter, vocabulary[unknown]) for letter in AMINO_ACIDS + NON_STANDARD}
