"""The record of real chains: what the limits and their docstring are held to."""

from __future__ import annotations

import re

from benchmarks import plausibility
from lowmem_fold.bench.records import read_measurements
from lowmem_fold.predictions import plausibility as judged
from lowmem_fold.predictions.structures import read_pdb

RECORDS = {m.requested["source"]: m for m in read_measurements(plausibility.RESULTS)}


def test_no_real_chain_was_alarmed():
    assert {source: m.resolved["chains"] for source, m in RECORDS.items()} == {"chains_20_256.npz": 14_015, "ts50": 50}
    assert all(m.resolved["alarms"] == [] for m in RECORDS.values())


def test_the_record_is_of_the_code_as_it_is():
    measured = plausibility.measure(
        "ts50", [read_pdb(path) for path in sorted(plausibility.DATA.glob("*.pdb.gz"))[:10]]
    )
    assert measured.samples == {name: values[:10] for name, values in RECORDS["ts50"].samples.items()}


def test_the_docstring_quotes_the_record():
    def extreme(name, of, low=0, high=10**9):
        return of(
            value
            for m in RECORDS.values()
            for value, length in zip(m.samples[name], m.samples["length"], strict=True)
            if low <= length < high
        )

    quoted = re.findall(r"^.* (?:at most|at least|apart|are) ([\d.]+) (?:%|A)", judged.__doc__, re.MULTILINE)
    assert quoted == [
        f"{100 * extreme('broken', max):.0f}",
        f"{extreme('nearest_angstrom', min):.1f}",
        f"{extreme('compactness_angstrom', min)}",
        f"{extreme('rise_angstrom', max, high=60)}",
        f"{extreme('rise_angstrom', max, low=60)}",
    ]
    assert extreme("clashing", max) == 0 and extreme("length", min) == 20 and extreme("length", max) == 256
