"""What a run shows."""

from __future__ import annotations

import io

import pytest

from lowmem_fold.run.progress import Progress, relative_work, result_text
from lowmem_fold.sequences.fasta import parse_sequence

LINE = {
    "id": "r0",
    "length": 120,
    "status": "ok",
    "reason": None,
    "mean_plddt": 83.26,
    "ptm": 0.8125,
    "iptm": None,
    "seconds": 12.34,
    "peak_bytes": 3 * 2**29,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "r0    120 residues  pLDDT  83.3  pTM 0.812     12.3 s  peak 1.50 GiB"),
        ({"iptm": 0.5}, "r0    120 residues  pLDDT  83.3  pTM 0.812  ipTM 0.500     12.3 s  peak 1.50 GiB"),
        ({"peak_bytes": None}, "r0    120 residues  pLDDT  83.3  pTM 0.812     12.3 s"),
        ({"mean_plddt": None, "ptm": None}, "r0    120 residues  pLDDT     ?  pTM     ?     12.3 s  peak 1.50 GiB"),
        (
            {"attempts": 2, "placement": "staged", "chunk_size": None},
            "r0    120 residues  pLDDT  83.3  pTM 0.812     12.3 s  peak 1.50 GiB  attempt 2: staged",
        ),
        (
            {"attempts": 9, "placement": "streamed", "chunk_size": 4, "precision": "int8"},
            "r0    120 residues  pLDDT  83.3  pTM 0.812     12.3 s  peak 1.50 GiB"
            "  attempt 9: streamed, blocks of 4 rows, in int8, a lower precision",
        ),
        (
            {"status": "failed", "reason": "out of memory: 9 GiB\nmore"},
            "r0    120 residues  FAILED: out of memory: 9 GiB",
        ),
    ],
    ids=["one-chain", "complex", "no-meter", "not-finite", "second-attempt", "lower-precision", "failed"],
)
def test_line_of_a_record(changes, expected):
    assert result_text({**LINE, **changes}) == expected


def test_line_of_a_suspect_record_ends_with_the_reason():
    assert result_text({**LINE, "status": "suspect", "reason": "it is"}).endswith("GiB  SUSPECT: it is")


def show(bar: io.StringIO, lines: io.StringIO) -> Progress:
    records = [parse_sequence("A" * 120, id) for id in ("r0", "longer")]
    progress = Progress(lines, bar)
    progress.start(records, 4)
    for record in records:
        progress.working_on([record])
        progress.finished(record, {**LINE, "id": record.id})
    progress.close()
    return progress


def test_bar_only_on_a_terminal():
    bar, lines = Terminal(), io.StringIO()
    show(bar, lines)
    assert "2/2 longer, 120 residues" in bar.getvalue()
    assert " 50% [" in bar.getvalue() and " left]" in bar.getvalue()
    quiet, same = io.StringIO(), io.StringIO()
    show(quiet, same)
    assert quiet.getvalue() == ""
    assert same.getvalue() == lines.getvalue()
    assert [line.index("  120 residues") for line in same.getvalue().splitlines()] == [8, 8]


def test_closed_pipe_does_not_end_the_run():
    show(io.StringIO(), Broken())


def test_work_grows_from_linear_to_cubic():
    short, long = (relative_work(2 * n, 4) / relative_work(n, 4) for n in (1, 100_000))
    assert 2 < short < 2.1
    assert 7.9 < long < 8
    assert relative_work(100, 5) > relative_work(100, 4)


def test_work_is_that_of_the_published_dimensions():
    """Counted off the modules: what each token, each pair and each triple of tokens is multiplied by, a pass; in units
    of what a pair is."""
    from accelerate import init_empty_weights
    from transformers import EsmForProteinFolding

    from lowmem_fold.esmfold.published import esmfold_v1_config

    def numbers(module) -> int:
        return sum(weight.numel() for weight in module.parameters() if weight.ndim == 2)

    with init_empty_weights():
        model = EsmForProteinFolding(esmfold_v1_config(1, 1))
    (block,) = model.trunk.blocks
    of_pairs = [block.tri_mul_out, block.tri_mul_in, block.tri_att_start, block.tri_att_end, block.mlp_pair]
    pair = 48 * sum(map(numbers, [*of_pairs, block.sequence_to_pair.o_proj, block.pair_to_sequence]))
    stem, token = 36 * numbers(model.esm.encoder.layer[0]), 48 * (numbers(block.seq_attention) + numbers(block.mlp_seq))
    triple = 48 * (2 * 128 + 2 * 2 * 128)  # two multiplications; two attentions, each of scores and of values
    for n in (10, 400, 3000):
        expected = stem * n + 2 * (token * n + pair * n**2 + triple * n**3)
        assert relative_work(n, 2) == pytest.approx(expected / pair, rel=0.04)


def test_bar_moves_within_a_record_and_never_back():
    bar, records = Terminal(), [parse_sequence("A" * 120, id) for id in ("r0", "r1")]
    progress = Progress(io.StringIO(), bar)
    progress.start(records, 4)
    shown = []
    progress.working_on(records[:1])
    for part in (0.5, 1.0):
        progress.advanced(part)
        shown.append(progress._bar.n / progress._bar.total)
    progress.working_on(records[:1])  # once more, as after a batch that failed
    progress.advanced(0.5)
    shown.append(progress._bar.n / progress._bar.total)
    progress.finished(records[0], LINE)
    progress.working_on(records[1:])
    progress.advanced(0.5)
    shown.append(progress._bar.n / progress._bar.total)
    progress.close()
    assert shown == pytest.approx([0.25, 0.5, 0.5, 0.75])


def test_stem_phase_moves_the_bar_as_well():
    bar, records = Terminal(), [parse_sequence("A" * 120, id) for id in ("r0", "r1")]
    progress = Progress(io.StringIO(), bar)
    progress.start(records, 4)
    shown = []

    def note() -> None:
        shown.append(progress._bar.n / progress._bar.total)

    progress.stem_begins(records)
    progress.advanced(0.5)
    note()
    progress.stem_ended(records)
    progress.stem_ended(records)  # once more, as after a placement that failed
    note()
    for record in records:
        progress.working_on([record])
        progress.advanced(0.5)
        note()
        progress.finished(record, {**LINE, "id": record.id})
        note()
    progress.close()
    assert "language model of 2 records, 240 residues" in bar.getvalue()
    stem = 119 * 120 / relative_work(120, 4)  # of a record's work
    trunk = 1 - stem
    expected = [stem / 2, stem, stem + trunk / 4, stem + trunk / 2, stem + 3 * trunk / 4, 1]
    assert shown == pytest.approx(expected)
