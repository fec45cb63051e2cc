"""Reading FASTA: what is accepted, what is refused and with which words; tokens against the original's construction."""

from __future__ import annotations

import gzip
import io
import sys

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.esmfold.features import tokenize
from lowmem_fold.sequences.fasta import parse_sequence, read_fasta
from lowmem_fold.sequences.records import CHAIN_BREAK, LINKER, Record, chain_label

TWO = b">one first protein\nMKTAYIAK\nQR\n\n>two\nGGSS:AAL\n"


@pytest.fixture
def fasta(tmp_path):
    """Write bytes to in.fasta and give its path."""

    def write(data: bytes, name: str = "in.fasta"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read_fasta(path)
    return str(error.value)


# What is read


def test_records_and_their_parts(fasta):
    path = fasta(TWO)
    one, two = read_fasta(path)
    assert one == Record("one", "one first protein", ("MKTAYIAKQR",), (), f"{path}, record 1 (line 1)")
    assert two == Record("two", "two", ("GGSS", "AAL"), (), f"{path}, record 2 (line 5)")
    assert (two.sequence, two.length, two.num_tokens) == ("GGSS:AAL", 7, 7 + 25)


@pytest.mark.parametrize(
    "data",
    [
        TWO.replace(b"\n", b"\r\n"),
        TWO.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + TWO,
        TWO.replace(b"MKTAYIAK", b"mktaYiAk"),
        TWO.rstrip(b"\n"),
        b"\n \n" + TWO + b"\n\t\n\n",
        TWO.replace(b"MKTA", b" MK TA\t"),
        TWO.replace(b">one", b" > one "),
        TWO.replace(b"GGSS:AAL", b"GGSS:\n\nAAL"),
        TWO.replace(b"GGSS:AAL", b"GGSS\n:AA\nL"),
        TWO.replace(b">two", b"\xef\xbb\xbf>two"),
    ],
    ids=[
        "windows",
        "old-mac",
        "byte-order-mark",
        "lower-case",
        "no-last-newline",
        "blank-lines",
        "spaces-inside",
        "spaces-around-header",
        "chain-ends-line",
        "chain-starts-line",
        "mark-inside",
    ],
)
def test_same_records_however_written(fasta, data):
    read = [(record.id, record.chains) for record in read_fasta(fasta(data))]
    assert read == [("one", ("MKTAYIAKQR",)), ("two", ("GGSS", "AAL"))]


@pytest.mark.parametrize("name", ["in.fasta", "in.fasta.gz"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_gzip_is_known_by_its_content(fasta, name, packed):
    path = fasta(gzip.compress(TWO) if packed else TWO, name)
    assert [record.id for record in read_fasta(path)] == ["one", "two"]


def test_gzip_in_parts(fasta):
    # bgzip and `cat a.gz b.gz` make files of several members
    parts = gzip.compress(TWO[:20]) + gzip.compress(TWO[20:])
    assert [record.id for record in read_fasta(fasta(parts))] == ["one", "two"]


@pytest.mark.parametrize("data", [TWO, gzip.compress(TWO)], ids=["plain", "gzip"])
def test_standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    records = read_fasta("-")
    assert [record.id for record in records] == ["one", "two"]
    assert records[1].source == "standard input, record 2 (line 5)"


def test_header_in_latin1_and_utf8(fasta):
    (latin,) = read_fasta(fasta(">Müller protein\nMK\n".encode("latin-1")))
    (utf,) = read_fasta(fasta(">Müller protein\nMK\n".encode()))
    assert latin.header == utf.header == "Müller protein"
    assert latin.id == utf.id == "M_ller"


def test_joined_ncbi_headers(fasta):
    (record,) = read_fasta(fasta(b">a.1 x\x01b.1 y\nMK\n"))
    assert record.id == "a.1"


def test_replaced_letters_are_named(fasta):
    (record,) = read_fasta(fasta(b">a\nMU\nz:AAA:ob\nJ\n"))
    assert record.chains == ("MXX", "AAA", "XXX")
    assert record.warnings == (
        "chain A: 2 residues replaced by X (U at 2, Z at 3)",
        "chain C: 3 residues replaced by X (O at 1, B at 2, J at 3)",
    )


def test_long_list_of_replaced_letters_is_cut():
    record = parse_sequence("A" + "U" * 12 + "X")
    listed = ", ".join(f"U at {place}" for place in range(2, 12))
    assert record.warnings == (f"chain A: 12 residues replaced by X ({listed}, and 2 more)",)
    assert parse_sequence("AU").warnings == ("chain A: 1 residue replaced by X (U at 2)",)


def test_unusual_residues_are_kept_where_they_are_wanted(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(">a\nauz\nBOJX\n")
    (record,) = read_fasta(path, keep_unusual=True)
    assert record.chains == ("AUZBOJX",) and record.warnings == ()
    assert parse_sequence("AU", keep_unusual=True).chains == ("AU",)


def test_masked_residues_are_kept_where_they_are_wanted(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(">a\nA*<mask>\nV*\n")
    (record,) = read_fasta(path, masked=True)
    assert record.chains == ("A**V*",)
    with pytest.raises(InputError, match="position 4: '1' is not an amino acid"):
        parse_sequence("**<mask>1", masked=True)
    assert parse_sequence("A<mask>", masked=True).chains == ("A*",)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("sp|P12345|NAME_HUMAN Some protein", "sp_P12345_NAME_HUMAN"),
        ("a/b\\c:d*e?f\"g<h>i'j", "a_b_c_d_e_f_g_h_i_j"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("keep.These_+=-0", "keep.These_+=-0"),
        ("x" * 300, "x" * 100),
        ("ünïcode", "_n_code"),
        ("nul", "_nul"),
        ("COM1.chain", "_COM1.chain"),
        ("console", "console"),
    ],
    ids=["uniprot", "unsafe", "path", "kept", "long", "letters", "device", "device-with-suffix", "no-device"],
)
def test_ids_are_safe_file_names(fasta, tmp_path, header, expected):
    (record,) = read_fasta(fasta(f">{header}\nMK\n".encode()))
    assert record.id == expected
    assert record.header == header
    made = tmp_path / f"{record.id}.scores.json"
    made.write_text("x")
    assert made.parent == tmp_path and made.read_text() == "x"


def test_ids_that_become_no_files_stay_as_they_are(fasta):
    data = (
        b">sp|P12345|AAA_HUMAN of man\nMK\n>7abc_A\nMK\n>7abc_a\nMK\n>a/b\nMK\n>"
        + b"x" * 300
        + b"\nMK\n>g|1\x01g|2\nMK\n"
    )
    found = [record.id for record in read_fasta(fasta(data), file_names=False)]
    assert found == ["sp|P12345|AAA_HUMAN", "7abc_A", "7abc_a", "a/b", "x" * 300, "g|1"]
    with pytest.raises(
        InputError, match=r"two records share one name: 'a one', .* and 'a two', .*first word of the header\)"
    ):
        read_fasta(fasta(b">a one\nMK\n>a two\nMK\n"), file_names=False)


# What is refused. The words are part of the interface: each names the place and says what to do.


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["the file is empty"]),
        (b"\n  \r\n", ["no records", "'>name'"]),
        (gzip.compress(b""), ["the file is empty", "gzip"]),
        (b">\nMK\n", ["record 1 (line 1)", "the header is empty"]),
        (b">a\nMK\n>  \nMK\n", ["record 2 (line 3)", "the header is empty"]),
        (b">a\n>b\nMK\n", ["record 1 (line 1)", "'a': there is no sequence"]),
        (b">a\nMK\n\n>b\n\n", ["record 2 (line 4)", "'b': there is no sequence"]),
        (b"\nMKT\n>a\nMK\n", ["line 2", "text before the first '>'", "--sequence"]),
        (b">a\nMK::AA\n", ["record 1 (line 1), 'a': chain B is empty", "(line 2)", "one ':' between chains"]),
        (b">a\nMK:AA:\n:GG\n", ["chain C is empty", "(line 2)"]),
        (b">a\n:MK\n", ["no chain before the first ':'", "(line 2)"]),
        (b">a\nMK\nAA:\n", ["no chain after the last ':'", "(line 3)"]),
        (b">a\n:\n", ["no chain before the first ':'"]),
        (
            b">a b\nMKT\nAY*\n",
            [
                "record 1 (line 1), 'a b': chain A, position 6 (line 3)",
                "'*' is not an amino acid",
                "stop codon",
                "remove it",
            ],
        ),
        (b">a\nMK*:AA\n", ["chain A, position 3 (line 2)", "stop codon", "remove it"]),
        (b">a\nMK*AA\n", ["chain A, position 3 (line 2)", "'*'", "reading frame"]),
        (b">a\nMKT:\nA-Y-\n", ["chain B, position 2 (line 3)", "'-'", "1 more such character)", "gaps"]),
        (b">a\nM.KT.A.\n", ["chain A, position 2 (line 2)", "'.'", "2 more such characters)", "gaps"]),
        (b">a\n1 MKT 3\n", ["chain A, position 1 (line 2)", "'1'", "numbers"]),
        (b">a\nMK;T\n", ["chain A, position 3 (line 2)", "';'", "20 amino acids"]),
        (">a\nMKß\n".encode(), ["chain A, position 3 (line 2)", "'ß'"]),
        (">a\nMK\u0131\n".encode(), ["position 3", "'\u0131'"]),
        (">a\nMKé\n".encode("latin-1"), ["position 3", "'é'"]),
        (b">x\nMK\n>a b\nMK\n>a c\nAA\n", ["'a b', record 2 (line 3)", "'a c', record 3 (line 5)", "Rename one"]),
        (b">a|1\nMK\n>a/1\nAA\n", ["'a|1', record 1 (line 1)", "'a/1', record 2 (line 3)", "'a_1'"]),
        (b">Abc\nMK\n>aBC\nAA\n", ["'Abc', record 1", "'aBC', record 2", "lower case alike"]),
        (b">" + b"x" * 101 + b"\nMK\n>" + b"x" * 102 + b"\nMK\n", ["record 1", "record 2", "100 characters"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", ["a binary file"]),
        (b">a\nMK\x00TA\n", ["a binary file"]),
        (b"\x7fELF\x02\x01\x01", ["a binary file"]),
        (b"PK\x03\x04\x14\x00\x00\x00", ["zip archive", "only gzip"]),
        (b"BZh91AY&SY\x00\x01", ["bzip2 archive"]),
        (gzip.compress(TWO)[:-12], ["damaged or cut gzip"]),
        (gzip.compress(TWO)[:5], ["damaged or cut gzip"]),
        (TWO.decode().encode("utf-16"), ["UTF-16", "UTF-8"]),
        (TWO.decode().encode("utf-16-le"), ["UTF-16"]),
        (TWO.decode().encode("utf-16-be"), ["UTF-16"]),
        (TWO.decode().encode("utf-32"), ["UTF-16 or UTF-32"]),
        (gzip.compress(TWO.decode().encode("utf-16")), ["UTF-16"]),
    ],
    ids=[
        "empty-file",
        "blank-lines-only",
        "empty-gzip",
        "empty-header",
        "blank-header",
        "empty-record",
        "empty-last-record",
        "text-before-records",
        "empty-chain",
        "empty-chain-over-lines",
        "leading-colon",
        "trailing-colon",
        "only-colon",
        "stop-at-end",
        "stop-at-end-of-chain",
        "stop-inside",
        "gap",
        "dot",
        "digit",
        "semicolon",
        "sharp-s",
        "dotless-i",
        "latin1-letter",
        "same-ids",
        "same-ids-cleaned",
        "same-ids-case",
        "same-ids-capped",
        "png",
        "zero-byte",
        "executable",
        "zip",
        "bzip2",
        "cut-gzip",
        "gzip-head",
        "utf16",
        "utf16-le-no-mark",
        "utf16-be-no-mark",
        "utf32",
        "utf16-in-gzip",
    ],
)
def test_bad_files(fasta, data, words):
    path = fasta(data)
    message = refusal(path)
    assert message.startswith(str(path))
    for word in words:
        assert word in message
    assert message.endswith(".") and "\n" not in message


def test_no_such_file(tmp_path):
    assert refusal(tmp_path / "absent.fasta") == f"{tmp_path / 'absent.fasta'}: no such file. Check the path."


def test_sequence_given_as_a_file():
    assert "--sequence" in refusal("MKTAYIAKQRQISFVKSHFSRQ")
    assert "--sequence" in refusal("MKTAYIAKQRQISFVKSHFSRQ" * 100)  # longer than a file name may be


def test_directory(tmp_path):
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}: a directory") and "cat" in message


def test_no_permission(fasta, monkeypatch):
    path = fasta(TWO)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)  # the tests may run as root, who may read anything
    assert refusal(path) == f"{path}: no permission to read it. Ask its owner, or give a copy that is yours."


def test_nothing_on_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert refusal("-") == "standard input: nothing arrived. Give a FASTA file: a line '>name' above each sequence."


# One sequence


def test_parse_sequence():
    record = parse_sequence(" mkt:\n AY iu ", id="my protein/1")
    assert (record.id, record.chains, record.source) == ("my", ("MKT", "AYIX"), "sequence 'my protein/1'")
    assert record.warnings == ("chain B: 1 residue replaced by X (U at 4)",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["sequence 'sequence'", "no sequence"]),
        (" \n", ["no sequence"]),
        (">a\nMK", ["FASTA", "-i"]),
        ("MK\n>a\nMK", ["'>' is not an amino acid"]),
        ("MK::A", ["chain B is empty"]),
        ("MKT:A*Y", ["chain B, position 2: '*' is not an amino acid"]),
        ("proteins.fasta", ["position 9", "'.'"]),
    ],
    ids=["empty", "blank", "fasta", "fasta-inside", "empty-chain", "stop", "file-name"],
)
def test_bad_sequences(text, words):
    with pytest.raises(InputError) as error:
        parse_sequence(text)
    for word in words:
        assert word in str(error.value)
    assert "(line" not in str(error.value)


def test_empty_id():
    with pytest.raises(InputError, match="empty id"):
        parse_sequence("MK", id=" ")


# Chains and tokens


def test_chain_labels_are_one_letter_while_there_are_any_then_count_like_spreadsheet_columns():
    from itertools import product
    from string import ascii_lowercase, digits
    from string import ascii_uppercase as letters

    expected = [*letters, *ascii_lowercase, *digits]
    expected += ["".join(pair) for size in (2, 3) for pair in product(letters, repeat=size)]
    assert [chain_label(index) for index in range(len(expected))] == expected


def original_encoding(sequence: str):
    """The loops of encode_sequence (facebookresearch/esm, esm/esmfold/v1/misc.py), with its defaults."""
    chains = sequence.split(":")
    joined = ("G" * 25).join(chains)
    index = list(range(len(joined)))
    start = 0
    for number, chain in enumerate(chains):
        for place in range(start, min(start + len(chain) + 25, len(joined))):
            index[place] += number * 512
        start += len(chain) + 25
    linker = [0] * len(joined)
    offset = 0
    for chain in chains:
        offset += len(chain)
        for place in range(offset, min(offset + 25, len(joined))):
            linker[place] = 1
        offset += 25
    return joined, index, linker


@pytest.mark.parametrize("sequence", ["M", "MKTAYXV", "AR:ND", "A:RX:NDC:Q", "GGGG:G:GG"])
def test_tokens_are_those_of_the_original(sequence):
    joined, index, linker = original_encoding(sequence)
    tokens = tokenize(sequence.split(":"))
    assert "".join("ARNDCQEGHILKMFPSTWYVX"[kind] for kind in tokens.aatype) == joined
    assert tokens.residue_index.tolist() == index
    assert (tokens.chain_index < 0).astype(int).tolist() == linker
    kept = tokens.chain_index[tokens.chain_index >= 0]
    assert kept.tolist() == [number for number, chain in enumerate(sequence.split(":")) for _ in chain]
    assert {tokens.aatype.dtype, tokens.residue_index.dtype, tokens.chain_index.dtype} == {np.dtype(np.int64)}


def test_token_count_of_a_record():
    record = parse_sequence("MKT:AY:G")
    assert len(tokenize(record.chains).aatype) == record.num_tokens == 6 + 2 * len(LINKER)
    assert tokenize(record.chains).residue_index[-1] == record.num_tokens - 1 + 2 * CHAIN_BREAK


@pytest.mark.parametrize("chains", [[], ["MK", ""], "MK", ["mk"], ["MKU"]], ids=["none", "empty", "str", "lower", "U"])
def test_tokens_of_what_is_no_chain(chains):
    with pytest.raises(InputError):
        tokenize(chains)
