from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.bench.records import read_measurements
from lowmem_fold.bench.structures import Structure, read_pdb
from lowmem_fold.demo import evaluate
from lowmem_fold.prediction import Prediction

TS50 = Path(__file__).parents[2] / "benchmarks" / "data" / "ts50"
STRUCTURES = [read_pdb(TS50 / f"{name}.pdb.gz") for name in ("1ahsA", "3t5gB", "4gcnA")]


def _prediction(structure: Structure, noise: float, plddt: float) -> Prediction:
    rng = np.random.default_rng(0)
    positions = structure.positions + rng.normal(scale=noise, size=structure.positions.shape).astype(np.float32)
    return Prediction(
        id=structure.id,
        chains=(structure.sequence,),
        positions=positions,
        atom_mask=structure.atom_mask,
        plddt=np.full(structure.length, plddt, dtype=np.float32),
        atom_plddt=np.full(structure.atom_mask.shape, plddt, dtype=np.float32),
        ptm=plddt / 100,
        iptm=None,
        pae=None,
        num_passes=1,
    )


def test_the_truth_scores_one() -> None:
    by_sequence = {structure.sequence: structure for structure in STRUCTURES}
    samples = evaluate.compare(STRUCTURES, lambda sequence: _prediction(by_sequence[sequence], 0.0, 90.0))
    np.testing.assert_allclose(samples["tm_score"] + samples["lddt_ca"], 1.0, atol=1e-3)
    assert len(samples["residue_lddt_ca"]) == sum(structure.length for structure in STRUCTURES)


def test_a_confidence_that_follows_the_error_correlates() -> None:
    quality = dict(
        zip([structure.sequence for structure in STRUCTURES], [(0.1, 95), (1.0, 70), (4.0, 30)], strict=True)
    )
    by_sequence = {structure.sequence: structure for structure in STRUCTURES}
    samples = evaluate.compare(STRUCTURES, lambda s: _prediction(by_sequence[s], *quality[s]))
    scores = evaluate.summary(samples)
    assert scores["proteins"] == 3
    assert scores["mean_plddt"] == pytest.approx(65.0)
    assert scores["pearson_proteins"] > 0.95 and scores["pearson_residues"] > 0.8
    assert samples["tm_score"][0] > samples["tm_score"][1] > samples["tm_score"][2]


def test_the_command_records_every_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, record = tmp_path / "structures", tmp_path / "record.jsonl"
    folder.mkdir()
    for name in ("1ahsA", "4gcnA"):
        (folder / f"{name}.pdb.gz").write_bytes((TS50 / f"{name}.pdb.gz").read_bytes())
    evaluate.main([str(folder), "--num-recycles", "0", "--device", "cpu", "--record", str(record)])
    (measurement,) = read_measurements(record)
    assert measurement.resolved["chains"] == ["1ahsA", "4gcnA"]
    assert len(measurement.samples["tm_score"]) == 2
    assert "4gcnA" in capsys.readouterr().out
