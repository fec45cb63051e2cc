"""Sampled sequences: what the template leaves open, from the distributions of stock, in the order of their entropy."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from lowmem_fold.backbones.generate import generate
from lowmem_fold.errors import InputError

from .masked_stock import AMINO_ACIDS


def distribution(row: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    weights = np.exp((row - row.max()) / temperature)
    return weights / weights.sum()


def entropy(row: np.ndarray) -> float:
    p = distribution(row)
    return -float((p * np.log(p)).sum())


def greedy(stock, template: str) -> tuple[str, float]:
    """One residue at a time, the position of least entropy, its most probable residue; the sum of log p."""
    total = 0.0
    while "*" in template:
        rows = stock.log_probabilities(template)
        best = min(range(len(rows)), key=lambda index: entropy(rows[index]))
        place = [place for place, letter in enumerate(template) if letter == "*"][best]
        p = distribution(rows[best])
        total += float(np.log(p.max()))
        template = template[:place] + AMINO_ACIDS[int(p.argmax())] + template[place + 1 :]
    return template, total


@pytest.mark.parametrize("template", ["*" * 8, "MK*T**LXV*"], ids=["all-new", "template"])
def test_temperature_zero_takes_the_best_in_order_of_entropy(esm2, esm2_stock, template):
    (first, second) = generate(esm2, template, 2, temperature=0)
    sequence, total = greedy(esm2_stock, template)
    assert first.sequence == second.sequence == sequence
    assert first.log_probability == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_residues_are_sampled_at_the_temperature(esm2, esm2_stock, temperature):
    number = 600
    found = Counter(each.sequence[2] for each in generate(esm2, "MK*TV", number, temperature=temperature, seed=3))
    expected = number * distribution(esm2_stock.log_probabilities("MK*TV")[0], temperature)
    observed = np.array([found[letter] for letter in AMINO_ACIDS], dtype=float)
    common = expected >= 5  # as the test of a distribution wants it; the rest together
    groups = [group for group in (*np.diag(common)[common], ~common) if group.any()]
    pooled = [[values[group].sum() for group in groups] for values in (observed, expected)]
    assert chisquare(*pooled).pvalue > 1e-3


def test_a_seed_gives_the_same_sequences(esm2):
    some = generate(esm2, "*" * 12, 3, seed=5)
    assert generate(esm2, "*" * 12, 3, seed=5) == some
    assert generate(esm2, "*" * 12, 5, seed=5)[:3] == some
    assert len({each.sequence for each in some}) == 3
    assert not {each.sequence for each in generate(esm2, "*" * 12, 3, seed=6)} & {each.sequence for each in some}


def test_a_template_stays_where_it_is_not_masked(esm2):
    template = "MK<mask><mask>x*V"
    for each in generate(esm2, template, 4):
        assert (each.sequence[:2], each.sequence[4], each.sequence[6]) == ("MK", "X", "V")
        assert set(each.sequence) <= {*AMINO_ACIDS, "X"}


@pytest.mark.parametrize(
    ("steps", "counts"), [(1, [7, 0]), (2, [7, 3, 0]), (3, [7, 5, 2, 0]), (7, list(range(7, -1, -1)))]
)
def test_steps_share_the_positions(esm2, monkeypatch, steps, counts):
    masks = []
    logits = esm2.logits

    def counted(tokens):
        masks.append({sequence.count(esm2.family.mask_id) for sequence in tokens})
        return logits(tokens)

    monkeypatch.setattr(esm2, "logits", counted)
    (found,) = generate(esm2, "*" * 7, steps=steps)
    assert masks == [{count} for count in counts[:-1]]
    assert "*" not in found.sequence


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        ("MKT", {}, "the template has no masked residue"),
        ("", {}, "the template: there is no sequence"),
        ("M*", {"number": 0}, "the number of sequences is 1 or more; it is 0"),
        ("M*", {"temperature": -1}, "the temperature is 0 or more; it is -1"),
        ("M*", {"temperature": float("nan")}, "the temperature is 0 or more"),
        ("M*", {"seed": -1}, "the seed is a whole number, 0 or more; it is -1"),
        ("M*", {"steps": 2}, "steps are 1 to 1, the masked residues; they are 2"),
        ("M*", {"steps": 0}, "steps are 1 to 1"),
    ],
    ids=["no-mask", "empty", "number", "cold", "no-number", "seed", "steps", "no-steps"],
)
def test_refused(esm2, template, options, message):
    with pytest.raises(InputError, match=message):
        generate(esm2, template, **options)


def test_letters_of_nucleotides_where_they_are_allowed(esm2):
    template = "ACGT" * 4 + "*"
    with pytest.raises(InputError, match="the template: looks like DNA or RNA"):
        generate(esm2, template)
    assert len(generate(esm2, template, allow_nucleotide_letters=True)[0].sequence) == 17
    with pytest.raises(InputError, match=r"the template is a list: .*joined with ':'"):
        generate(esm2, ["M*"])
