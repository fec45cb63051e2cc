from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.memory.budget import format_memory, parse_memory


@pytest.mark.parametrize(
    ("amount", "size"),
    [
        ("8GB", 8_000_000_000),
        ("8G", 8_000_000_000),
        ("8 gb", 8_000_000_000),
        ("8gi", 8 * 2**30),
        ("8GiB", 8_589_934_592),
        ("8 GB", 8_000_000_000),
        (" 8gib ", 8_589_934_592),
        ("500MB", 500_000_000),
        ("0.5GiB", 536_870_912),
        (".5GiB", 536_870_912),
        ("12.3GB", 12_300_000_000),  # as a float 12,300,000,000.000002
        ("1.0005KB", 1000),
        ("3TB", 3_000_000_000_000),
        ("2TiB", 2_199_023_255_552),
        ("64KiB", 65536),
        ("123456789", 123456789),
        ("7B", 7),
        ("1048576", 2**20),
        (2**20, 2**20),
        (123456789, 123456789),
        (np.int64(123456789), 123456789),
    ],
    ids=repr,
)
def test_reads(amount: str | int, size: int) -> None:
    assert parse_memory(amount) == size


@pytest.mark.parametrize(
    "amount",
    ["", "GB", "8 GB free", "-8GB", "1e9", "eight", "8,5GB", "8GBit", "1.2.3GB", "٨GB", "nan", True, 8.5, None],
    ids=repr,
)
def test_refuses_what_is_no_amount(amount: object) -> None:
    with pytest.raises(InputError, match=r"not a memory size: write 8GB \(8 x 10\^9 bytes\), 8GiB") as caught:
        parse_memory(amount)  # type: ignore[arg-type]
    assert repr(amount) in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "advice"),
    [(8, "write 8GB or 8MB"), ("8", "write 8GB"), (" 8.5 ", "write 8GB"), ("40960", "40960MB"), (2**20 - 1, "MB")],
    ids=repr,
)
def test_a_small_number_alone_is_not_taken_for_bytes(amount: str | int, advice: str) -> None:
    with pytest.raises(InputError, match="has no unit") as caught:
        parse_memory(amount)
    assert advice in str(caught.value) and str(amount) in str(caught.value)


@pytest.mark.parametrize(
    "amount",
    ["9" * 5000, "0." + "9" * 5000 + "GB", 10**5000, 2**63, f"{2**63}B", "99999999TiB", -(10**5000)],
    ids=["digits", "decimals", "int", "int64", "int64-text", "unit", "negative"],
)
def test_refuses_what_no_machine_has(amount: str | int) -> None:
    with pytest.raises(InputError, match="memory") as caught:
        parse_memory(amount)
    assert len(str(caught.value)) < 200 and "8GB" in str(caught.value)


@pytest.mark.parametrize("amount", ["0GB", 0, -5, "0.1B"], ids=repr)
def test_refuses_nothing(amount: str | int) -> None:
    with pytest.raises(InputError, match="is nothing"):
        parse_memory(amount)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (8_000_000_000, "7.45 GiB"),
        (2**30, "1.00 GiB"),
        (107_374_183, "0.10 GiB"),
        (12_897_485, "12.3 MiB"),
        (0, "0.0 MiB"),
    ],
    ids=str,
)
def test_writes(size: int, text: str) -> None:
    assert format_memory(size) == text
