from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lowmem_fold.bench.configuration import Configuration
from lowmem_fold.errors import InputError

OURS = Configuration(precision="int8,pair=bf16", placement="streamed", length=79, memory="8GB")
STOCK = Configuration(code="stock fp32", precision=None, placement=None)


@pytest.mark.parametrize("configuration", [OURS, STOCK], ids=["ours", "peer"])
def test_it_comes_back_from_what_it_says_of_itself(configuration: Configuration) -> None:
    assert Configuration.from_dict(json.loads(configuration.to_json())) == configuration
    assert configuration.recorded("standin") == {**configuration.requested(), "model": "standin"}


@pytest.mark.parametrize("key", ["more", "length"])
def test_another_object_is_no_configuration(key: str) -> None:
    values = OURS.requested()
    changed = {**values, key: 1} if key not in values else {k: v for k, v in values.items() if k != key}
    with pytest.raises(InputError, match=r"a configuration has chunk_size, code, device, length"):
        Configuration.from_dict(changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "int3"}, "int3"),
        ({"placement": "nowhere"}, "nowhere"),
        ({"device": "tpu"}, "tpu"),
        ({"length": 0}, "length must be a whole number, 1 or more; it is 0"),
        ({"repeats": True}, "repeats must be a whole number"),
        ({"num_recycles": -1}, "-1"),
        ({"memory": "8X"}, "8GiB"),
        ({"model": ""}, "model"),
    ],
    ids=str,
)
def test_mistakes_name_the_value(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(OURS, **change)


@pytest.mark.parametrize("change", [{"precision": "fp32"}, {"placement": "resident"}, {"chunk_size": 8}], ids=str)
def test_a_peer_is_one_precision_and_placement(change: dict) -> None:
    with pytest.raises(InputError, match="stock fp32 takes no precision, placement or chunk size"):
        replace(STOCK, **change)


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (Configuration(), True),
        (Configuration(length=64, num_recycles=0, model="other", device="cuda"), True),
        (Configuration(precision="fp16"), False),
        (Configuration(placement="staged"), False),
        (Configuration(chunk_size=8), False),
        (STOCK, False),
    ],
    ids=["plain", "elsewhere", "fp16", "staged", "blocks", "stock"],
)
def test_the_reference_is_ours_in_fp32(configuration: Configuration, expected: bool) -> None:
    assert configuration.is_reference is expected


def test_presets_sweeps_and_tables_need_no_torch() -> None:
    code = (
        "import sys; from lowmem_fold.bench import presets, sweep, table; from lowmem_fold.cli import bench;"
        " assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
