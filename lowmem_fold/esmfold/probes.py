"""Calls of the engine's functions on random weights and states, to be timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..checkpoints.checkpoint import DEMO_FOLDER
from ..pair.tiles import Tiling
from ..pair.transition import pair_transition
from ..pair.triangle_attention import triangle_attention
from ..pair.triangle_multiplication import triangle_multiplication
from ..quantization.formats import DTYPES
from . import engine, heads
from .published import esmfold_v1_config, random_record
from .sequence import update_sequence
from .sequence_to_pair import sequence_to_pair
from .structure import predict_structure
from .trunk import recycle_pair_state

if TYPE_CHECKING:
    from transformers import EsmConfig

__all__ = ["calls_of", "filled_model", "probe_models"]


def probe_models(device: torch.device, dtypes: Sequence[str]) -> Mapping[tuple[str, str], nn.Module]:
    """One layer and one block of ESMFold v1 and of the demo model, by name and the dtype of the stem."""
    from transformers import EsmConfig

    models = {}
    for name, config in (("esmfold_v1", esmfold_v1_config()), ("demo", EsmConfig.from_pretrained(DEMO_FOLDER))):
        config.num_hidden_layers, config.esmfold_config.fp16_esm = 1, False
        trunk = config.esmfold_config.trunk
        trunk.num_blocks, trunk.structure_module.num_blocks = 1, 2
        for dtype in dtypes:
            models[name, dtype] = filled_model(config, device)
            models[name, dtype].esm.to(DTYPES[dtype])
    return models


def filled_model(config: EsmConfig, device: torch.device) -> nn.Module:
    """A model of random weights, of which none is drawn twice: transformers would draw its own first."""
    from accelerate import init_empty_weights
    from transformers import EsmForProteinFolding

    with init_empty_weights(include_buffers=False):
        model = EsmForProteinFolding(config)
    for module in model.modules():
        for name, empty in list(module.named_parameters(recurse=False)):
            bound = empty.shape[-1] ** -0.5 if empty.ndim > 1 else 0.1
            value = torch.empty(empty.shape, device=device).uniform_(-bound, bound)
            setattr(module, name, nn.Parameter(value, requires_grad=False))
    return model.to(device).eval()


def calls_of(model: nn.Module, length: int) -> dict[str, Callable[[], Any]]:
    """Calls of the functions of `work.FUNCTIONS` on random states of a length, by name."""
    device, trunk, block = model.device, model.trunk, model.trunk.blocks[0]
    record, tiling = random_record(length, device=str(device)), Tiling.for_device(device)
    s = torch.randn(length, trunk.recycle_s_norm.weight.shape[0], device=device)
    z = torch.randn(length, length, trunk.recycle_z_norm.weight.shape[0], device=device)
    state = torch.randn(length, trunk.structure_module.config.sequence_dim, device=device)
    backbone = 10 * torch.randn(length, 3, 3, device=device)

    def both(function: Callable[..., None], modules: tuple, keyword: str) -> None:
        for module, value in zip(modules, (False, True), strict=True):
            function(z, module, tiling, **{keyword: value})

    multiplications, attentions = (block.tri_mul_out, block.tri_mul_in), (block.tri_att_start, block.tri_att_end)
    calls: dict[str, Callable[[], Any]] = {
        "stem": lambda: engine.initial_sequence_states(model, [record]),
        "sequence": lambda: update_sequence(s, [z], block, tiling),
        "sequence_to_pair": lambda: sequence_to_pair(z, s, block.sequence_to_pair, tiling),
        "triangle_multiplication": lambda: both(triangle_multiplication, multiplications, "incoming"),
        "triangle_attention": lambda: both(triangle_attention, attentions, "ending"),
        "pair_transition": lambda: pair_transition(z, block.mlp_pair.mlp, tiling),
        "recycling": lambda: recycle_pair_state(trunk, z, backbone, record.residue_index, tiling),
        "structure": lambda: predict_structure(trunk, s, z, record.aatype, tiling),
        "heads": lambda: (
            heads.aligned_error(model.ptm_head, z, record.chain_index, tiling, keep_pae=True),
            heads.plddt(model.lddt_head, state, model.lddt_bins),
        ),
    }
    return {name: torch.no_grad()(call) for name, call in calls.items()}
