"""Text of others cannot steer the terminal, and stays readable otherwise."""

from __future__ import annotations

import logging

import pytest

from lowmem_fold.system.log import logging_to
from lowmem_fold.system.terminal import printable, say, tell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("Müller β 漢 😀", "Müller β 漢 😀"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\x9b31m", "a\\x9b31m"),
        ("a\rb\x00\x07\x7f", "a\\rb\\x00\\x07\\x7f"),
        ("evil\u202efdp.exe", "evil\\u202efdp.exe"),
        ("\ufeffa\u200db\U000e0001", "\\ufeffa\\u200db\\U000e0001"),
    ],
    ids=["plain", "letters", "escape", "c1", "control", "direction", "format"],
)
def test_control_and_format_characters_are_escaped(text, shown):
    assert printable(text) == shown


def test_lines(capsys):
    say("a\x1bb")
    say("c", end="")
    tell("error: \x9b")
    assert capsys.readouterr() == ("a\\x1bb\nc", "lowmem-fold: error: \\x9b\n")


def test_the_log_is_printable(tmp_path):
    with logging_to(tmp_path / "log") as logger:
        try:
            raise ValueError("in\x1b[2J side")
        except ValueError:
            logger.exception("first \x9b line")
        logging.getLogger("lowmem_fold.x").info("one\ntwo")
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert "ERROR first \\x9b line\nTraceback" in text and "in\\x1b[2J side" in text and "one\ntwo\n" in text
    assert not {"\x1b", "\x9b"} & set(text)


def test_a_name_of_a_file_in_an_error(capsys, tmp_path):
    from lowmem_fold.cli.main import main

    assert main(["fold", "-i", str(tmp_path / "\x1b[31mnope.fa"), "-o", str(tmp_path / "out")]) == 2
    assert "\\x1b[31mnope.fa: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["fold", "-i", "a", "-o", "b", "--\x1b[31m"], ["\x1b[31m"]], ids=["option", "verb"]
)
def test_what_the_parser_repeats(capsys, arguments):
    from lowmem_fold.cli.main import main

    try:
        assert main(arguments) == 2
    except SystemExit as stop:
        assert stop.code == 2
    printed = capsys.readouterr().err
    assert "\x1b" not in printed and "\\x1b[31m" in printed
