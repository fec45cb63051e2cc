from __future__ import annotations

import pytest
import torch
from transformers.models.esm.openfold_utils.rigid_utils import quat_to_rot

from benchmarks.training.forward import fold, stem_states
from tests.benchmarks.training.tiny import tiny_model


def _inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two sequences, one shorter, with unknown residues and a jump of the index."""
    generator = torch.Generator().manual_seed(1)
    aatype = torch.randint(0, 21, (2, 19), generator=generator)
    aatype[0, 3] = 20
    mask = torch.ones(2, 19, dtype=torch.bool)
    mask[1, 13:] = False
    index = torch.arange(19).expand(2, -1).clone()
    index[:, 9:] += 512
    return aatype, index, mask


@pytest.mark.parametrize("recycles", [0, 1, 3], ids=lambda n: f"{n} recycles")
def test_fold_equals_stock(recycles: int) -> None:
    model, (aatype, index, mask) = tiny_model(), _inputs()
    with torch.no_grad():
        stock = model(aatype, mask.long(), index, num_recycles=recycles)
        ours = fold(model, stem_states(model, aatype, mask), aatype, index, mask, recycles)
    pairs = mask[:, :, None] & mask[:, None, :]
    compared = {
        "pair": (ours.pair, stock.s_z, pairs),
        "origins": (ours.origins[-1], stock.frames[-1, ..., 4:], mask),
        "rotations": (ours.rotations[-1], quat_to_rot(stock.frames[-1, ..., :4]), mask),
        "backbone": (ours.backbone, stock.positions[-1][:, :, :3], mask),
        "angles": (ours.angles, stock.unnormalized_angles[-1], mask),
        "distogram": (ours.distogram_logits, stock.distogram_logits, pairs),
        "pae": (ours.pae_logits, stock.ptm_logits, pairs),
        "lddt": (ours.lddt_logits, stock.lddt_head[-1], mask),
    }
    for name, (mine, theirs, where) in compared.items():
        assert (mine[where] - theirs[where]).abs().max() <= 1e-4 * theirs[where].abs().max(), name


def test_every_iteration_is_placed_as_stock_places_it() -> None:
    model, (aatype, index, mask) = tiny_model(), _inputs()
    with torch.no_grad():
        stock = model(aatype, mask.long(), index, num_recycles=0)
        ours = fold(model, stem_states(model, aatype, mask), aatype, index, mask)
    torch.testing.assert_close(ours.origins[:, mask], stock.frames[..., 4:][:, mask], rtol=1e-4, atol=1e-4)


def test_gradients_equal_stock() -> None:
    model, (aatype, index, mask) = tiny_model().train(), _inputs()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    stock = model(aatype, mask.long(), index, num_recycles=1)
    ours = fold(model, stem_states(model, aatype, mask), aatype, index, mask, 1)
    gradients = []
    for origins, distogram in ((stock.frames[..., 4:], stock.distogram_logits), (ours.origins, ours.distogram_logits)):
        score = origins[:, mask].sin().sum() + distogram[0].sin().sum()
        gradients.append(torch.autograd.grad(score, list(weights.values()), allow_unused=True))
    for name, theirs, mine in zip(weights, *gradients, strict=True):
        if theirs is None or mine is None:
            unused = theirs if mine is None else mine
            assert unused is None or not unused.any(), name
        else:
            assert (mine - theirs).abs().max() <= 1e-3 * theirs.abs().max() + 1e-4, name


@pytest.mark.gpu
def test_fold_on_a_gpu_equals_the_cpu_with_gradients() -> None:
    results = []
    for device in ("cpu", "cuda"):
        model, (aatype, index, mask) = tiny_model().to(device), (value.to(device) for value in _inputs())
        output = fold(model, stem_states(model, aatype, mask), aatype, index, mask, 1)
        output.origins[-1][mask].sin().sum().backward()
        gradient = model.trunk.blocks[0].tri_att_start.linear.weight.grad
        results.append((output.origins[-1][mask].detach().cpu(), gradient.cpu()))
    for mine, theirs in zip(*results, strict=True):
        assert (mine - theirs).abs().max() <= 1e-3 * theirs.abs().max()
