from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from transformers.models.esm.modeling_esmfold import EsmFoldStructureModule
from transformers.models.esm.openfold_utils import Rigid, atom14_to_atom37, make_atom14_masks

from benchmarks.training.architecture import model_config
from benchmarks.training.forward import Output
from benchmarks.training.geometry import backbone_frames, backbone_torsions, ideal_cb
from benchmarks.training.losses import (
    Truth,
    backbone_fape,
    bond_loss,
    chi_loss,
    clash_loss,
    distogram_loss,
    lddt_ca,
    pae_loss,
    plddt_loss,
    smooth_lddt_ca,
    torsion_loss,
)
from lowmem_fold.metrics import chi_angles, chi_errors
from lowmem_fold.predictions.structures import read_pdb
from lowmem_fold.sequences.residues import ATOM_NAMES, CHI_IS_SYMMETRIC, RESIDUE_ORDER
from tests.benchmarks.training.tiny import SHAPE

struc = pytest.importorskip("biotite.structure", reason="structures are read with biotite")
STRUCTURE = read_pdb(Path(__file__).parents[3] / "benchmarks" / "data" / "ts50" / "1ahsA.pdb.gz")
BACKBONE = torch.from_numpy(STRUCTURE.positions[None, :, [ATOM_NAMES.index(name) for name in ("N", "CA", "C")]]).float()
MASK = torch.ones(BACKBONE.shape[:2], dtype=torch.bool)
TRUTH = Truth(BACKBONE, MASK)
FAR = torch.tensor([1e6])


def _output(**given: torch.Tensor) -> Output:
    return Output(**{**dict.fromkeys(Output.__dataclass_fields__), **given})


def test_frames_are_rotations_and_carry_the_atoms() -> None:
    rotations, origins = backbone_frames(BACKBONE)
    torch.testing.assert_close(
        rotations.transpose(-1, -2) @ rotations, torch.eye(3).expand_as(rotations), atol=1e-5, rtol=0
    )
    local = (BACKBONE - origins[:, :, None]) @ rotations
    assert (local[:, :, 2, 0] > 1).all() and local[:, :, 2, 1:].abs().max() < 1e-4  # C on the x axis
    assert (local[:, :, 0, 1] > 1).all() and local[:, :, 0, 2].abs().max() < 1e-4  # N in the plane, above it


def test_ideal_cb_lies_at_the_real_one() -> None:
    index = ATOM_NAMES.index("CB")
    real, seen = torch.from_numpy(STRUCTURE.positions[:, index]), torch.from_numpy(STRUCTURE.atom_mask[:, index])
    assert (ideal_cb(BACKBONE)[0] - real)[seen].norm(dim=-1).median() < 0.15


def test_fape_ignores_the_placement_and_counts_displacements() -> None:
    rotations, origins = backbone_frames(BACKBONE)
    turn = torch.from_numpy(Rotation.random(random_state=0).as_matrix()).float()
    moved = backbone_fape(turn @ rotations, origins @ turn.T + 5, rotations, origins, MASK, FAR)
    assert float(moved) == pytest.approx(0.001, abs=1e-4)  # sqrt(1e-4) / 10, the floor of each pair
    eye, two = torch.eye(3).expand(1, 2, 3, 3), torch.zeros(1, 2, 3)
    apart = two.clone()
    apart[0, 1, 0] = 4.0
    both = torch.ones(1, 2, dtype=torch.bool)
    assert float(backbone_fape(eye, two, eye, apart, both, FAR)) == pytest.approx(
        0.2, abs=1e-3
    )  # two of four pairs off by 4
    assert float(backbone_fape(eye, two, eye, apart, both, torch.tensor([1.0]))) == pytest.approx(0.05, abs=1e-3)


def test_fape_sees_a_mirror_image() -> None:
    mirrored = BACKBONE * torch.tensor([1.0, 1.0, -1.0])
    value = backbone_fape(*backbone_frames(mirrored), *backbone_frames(BACKBONE), MASK, FAR)
    assert value > 0.5


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0, 8.0])
def test_lddt_ca_is_biotites(noise: float) -> None:
    rng = np.random.default_rng(0)
    reference = BACKBONE[0, :, 1].numpy()
    subject = reference + rng.normal(scale=noise, size=reference.shape).astype(np.float32)
    arrays = []
    for points in (reference, subject):
        array = struc.AtomArray(len(points))
        array.coord, array.res_id = points, np.arange(len(points))
        arrays.append(array)
    expected = struc.lddt(*arrays, aggregation="residue")
    measured = lddt_ca(torch.from_numpy(subject)[None], BACKBONE[:, :, 1], MASK)[0]
    np.testing.assert_allclose(measured, expected, atol=0.02)


def test_smooth_lddt_of_the_truth_is_its_largest_value() -> None:
    ca = BACKBONE[:, :, 1]
    best = float(torch.sigmoid(torch.tensor([0.5, 1.0, 2.0, 4.0])).mean())
    assert float(smooth_lddt_ca(ca, ca, MASK)) == pytest.approx(best, abs=1e-3)
    assert float(smooth_lddt_ca(ca * 1.2, ca, MASK)) < best - 0.05


def test_distogram_loss_reads_the_right_bins() -> None:
    cb = ideal_cb(BACKBONE)[0].double().numpy()
    distances = np.linalg.norm(cb[:, None] - cb[None], axis=-1)
    bins = np.digitize(distances, np.linspace(2.3125, 21.6875, 63))
    logits = 40.0 * torch.nn.functional.one_hot(torch.from_numpy(bins), 64).float()[None]
    assert float(distogram_loss(logits, TRUTH)) < 0.01
    assert float(distogram_loss(torch.zeros_like(logits), TRUTH)) == pytest.approx(np.log(64), abs=1e-4)


def test_torsions_are_biotites() -> None:
    points = BACKBONE[0].double().numpy()
    n, ca, c = points[:, 0], points[:, 1], points[:, 2]
    phi, psi = struc.dihedral(c[:-1], n[1:], ca[1:], c[1:]), struc.dihedral(n[:-1], ca[:-1], c[:-1], n[1:])
    omega = struc.dihedral(ca[:-1], c[:-1], n[1:], ca[1:])
    angles, known = backbone_torsions(BACKBONE, TRUTH.bonded)
    measured = torch.atan2(angles[0, :, :, 0], angles[0, :, :, 1]).numpy()
    for mine, theirs in ((measured[1:, 0], omega), (measured[1:, 1], phi), (measured[:-1, 2], psi)):
        np.testing.assert_allclose(np.cos(mine - theirs), 1.0, atol=1e-4)
    assert known.sum() == 3 * (len(points) - 1)


def test_torsion_loss_and_norm() -> None:
    angles, known = backbone_torsions(BACKBONE, TRUTH.bonded)
    right = torch.zeros(*BACKBONE.shape[:2], 7, 2)
    right[..., 1] = 1.0
    right[:, :, :3][known] = angles[known]
    assert [float(value) for value in torsion_loss(3 * right, TRUTH)] == pytest.approx([0.0, 2.0], abs=1e-5)
    wrong = right.clone()
    wrong[:, :, :3] *= -1
    assert float(torsion_loss(wrong, TRUTH)[0]) == pytest.approx(4.0, abs=1e-5)  # opposite points of the circle


def _with_side_chains() -> Truth:
    chi = chi_angles(STRUCTURE.sequence, STRUCTURE.positions, STRUCTURE.atom_mask)
    aatype = torch.tensor([[RESIDUE_ORDER[letter] for letter in STRUCTURE.sequence]])
    return Truth(BACKBONE, MASK, torch.from_numpy(chi)[None].float(), aatype)


def test_chi_angles_are_those_that_the_model_places() -> None:
    """The stock module's side chains, placed from measured angles, have these angles."""
    truth = _with_side_chains()
    chi = truth.chi.nan_to_num()
    angles = torch.zeros(*MASK.shape, 7, 2)
    angles[..., 1] = 1.0
    angles[:, :, 3:] = torch.stack([chi.sin(), chi.cos()], dim=-1)
    module = EsmFoldStructureModule(model_config(SHAPE).esmfold_config.trunk.structure_module)
    frames = Rigid.identity(MASK.shape, dtype=torch.float32, device=torch.device("cpu"), requires_grad=False)
    groups = module.torsion_angles_to_frames(frames, angles, truth.aatype)
    atom14 = module.frames_and_literature_positions_to_atom14_pos(groups, truth.aatype)
    batch = make_atom14_masks({"aatype": truth.aatype[0]})
    atom37 = atom14_to_atom37(atom14[0], batch)
    placed = chi_angles(STRUCTURE.sequence, atom37.numpy(), batch["atom37_atom_exists"].bool().numpy())
    errors = chi_errors(STRUCTURE.sequence, placed, truth.chi[0].double().numpy())
    assert np.isfinite(errors).sum() == torch.isfinite(truth.chi).sum()
    assert np.nanmax(errors) < np.radians(0.5)  # the literature's angles are rounded to three digits


def test_chi_loss() -> None:
    truth = _with_side_chains()
    chi = truth.chi.nan_to_num()
    angles = torch.zeros(*MASK.shape, 7, 2)
    angles[:, :, 3:] = 2 * torch.stack([chi.sin(), chi.cos()], dim=-1)
    assert float(chi_loss(angles, truth)) == pytest.approx(0.0, abs=1e-5)
    turned = float(chi_loss(-angles, truth))  # 4 for each angle but those that like atoms turn
    known = [(STRUCTURE.sequence[i], j) for i, j in torch.isfinite(truth.chi[0]).nonzero().tolist()]
    like = sum(angle in CHI_IS_SYMMETRIC for angle in known)
    assert 0 < like < len(known)
    assert turned == pytest.approx(4.0 * (1 - like / len(known)), abs=1e-4)
    only_backbone = Truth(BACKBONE, MASK, torch.full_like(truth.chi, torch.nan), truth.aatype)
    assert float(chi_loss(angles, only_backbone)) == 0.0


def test_a_real_chain_has_good_bonds_and_no_clashes() -> None:
    assert float(bond_loss(BACKBONE, TRUTH)) < 0.01
    assert float(clash_loss(BACKBONE[:, :, 1], TRUTH)) < 0.01
    stretched = BACKBONE * 2
    assert float(bond_loss(stretched, TRUTH)) > 1.0
    assert float(clash_loss(BACKBONE[:, :, 1] / 2, TRUTH)) > 0.5


def test_confidence_losses_read_the_right_bins() -> None:
    rotations, origins = backbone_frames(BACKBONE)
    generator = torch.Generator().manual_seed(0)
    noisy = origins + 2 * torch.randn(origins.shape, generator=generator)
    lddt = lddt_ca(noisy, origins, MASK)[0]
    lddt_logits = 40.0 * torch.nn.functional.one_hot((lddt * 50).long().clamp(max=49), 50).float()
    frames, points = rotations[0].double().numpy(), noisy[0].double().numpy()
    true = origins[0].double().numpy()
    error = np.array(
        [[np.linalg.norm(f.T @ (p - a) - f.T @ (t - b)) for p, t in zip(points, true, strict=True)]
         for f, a, b in zip(frames, points, true, strict=True)]
    )  # fmt: skip
    bins = torch.from_numpy(np.digitize(error, np.linspace(0, 31, 63)))
    output = _output(
        rotations=rotations[None],
        origins=noisy[None],
        lddt_logits=lddt_logits[None, :, None].expand(-1, -1, 37, -1),
        pae_logits=40.0 * torch.nn.functional.one_hot(bins, 64).float()[None],
    )
    assert float(plddt_loss(output, TRUTH)) < 0.01
    # The diagonal's error is exactly 0, on a bin's edge: numpy and torch put it into neighbouring bins.
    off = 40.0 / len(true)
    assert float(pae_loss(output, TRUTH, (rotations, origins))) < off + 0.1
