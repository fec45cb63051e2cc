"""What a page holds of a record, read back as the browser does."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np
import pytest

from lowmem_fold.view.packed import MAX_BINS, UNKNOWN_ERROR, block, errors_of, plain_json


def test_block_is_an_element_that_does_not_run():
    data = b"</script><script>alert(1)</script>" * 50
    match = re.fullmatch(r'<script type="text/plain" id="record-7">([A-Za-z0-9+/=]*)</script>', block("record-7", data))
    assert match is not None
    assert zlib.decompress(base64.b64decode(match[1])) == data
    assert len(match[1]) < len(data)


def test_json_cannot_end_its_element():
    value = {"header": "</script><!-- <script>", "n": [1, None, 0.5]}
    text = plain_json(value)
    assert "<" not in text
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="JSON"):
        plain_json(float("nan"))


@pytest.mark.parametrize("length", [1, 7, MAX_BINS, MAX_BINS + 1, 2 * MAX_BINS, 1300], ids=str)
def test_errors_are_means_of_the_bins(length):
    pae = np.random.default_rng(0).uniform(0, 31.75, (length, length))
    bins, data = errors_of(pae)
    assert bins == min(length, MAX_BINS)
    errors = np.frombuffer(data, np.uint8).reshape(bins, bins)
    rows = [[i for i in range(length) if i * bins // length == k] for k in range(bins)]
    for k, m in [(0, 0), (bins - 1, 0), (bins // 2, bins // 3), (bins - 1, bins - 1)]:
        assert errors[k, m] / 4 == pytest.approx(pae[np.ix_(rows[k], rows[m])].mean(), abs=0.125 + 1e-9)


def test_errors_out_of_the_range_and_missing():
    pae = np.array([[np.nan, 0.0], [200.0, 31.75]])
    assert list(errors_of(pae)[1]) == [UNKNOWN_ERROR, 0, UNKNOWN_ERROR - 1, 127]
