"""Loading a language model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from ..checkpoints.checkpoint import Checkpoint, find_checkpoint
from ..checkpoints.container import linear_names
from ..errors import InputError
from ..memory.budget import parse_memory
from ..memory.capacity import usable_bytes
from ..memory.exhaustion import release_memory
from ..precision import PARTS, Part, Precision, parse_precision, stem_alone
from ..quantization.registry import unavailable
from ..system.devices import find_device
from .attention import chosen_attention
from .backbone import Backbone
from .blueprint import PLACEMENTS, Blueprint
from .families import Family, family_of

__all__ = ["load_backbone", "make_blueprint"]


def load_backbone(
    model: str | Path,
    precision: str | Precision | None = None,
    memory: str | int | None = None,
    device: str | torch.device = "auto",
    placement: str | None = None,
    attention: str = "auto",
) -> Backbone:
    """A language model, ready to run.

    Parameters
    ----------
    model : str or Path
        A hub id, or a local folder in Hugging Face layout or written by `lowmem-fold quantize`. Of an ESMFold it is the
        stem, so that `demo` is an ESM-2 of 8M.
    precision : str or Precision, optional
        What its layers are stored in: fp32, fp16, bf16, int8, int4, float8, bnb-int8, bnb-nf4, or `stem=int8/bf16` and
        `exclude=` as `lowmem_fold.precision` has them. Embedding, norms and head are not quantized. By default that of
        a quantized folder, else fp32.
    memory : str or int, optional
        What weights and activations may take on the device: `8GB`, `8GiB`, or bytes. The placement is chosen for it; on
        CUDA the allocator holds to it. By default what is free, if it is known.
    device : str or torch.device
        `cpu`, `cuda`, `cuda:N`, `mps`, or `auto`: CUDA where there is one, else the CPU.
    placement : str, optional
        `resident` or `streamed`; by default the first of these that fits.
    attention : str
        `sdpa`, `eager`, or `auto`: the best that the family has.

    Raises
    ------
    ModelError
        If the model cannot be had, is of no known family, or is not what its configuration says.
    InputError
        If the device is not there, or precision, placement or attention cannot be had, or nothing fits.
    """
    blueprint = make_blueprint(model, precision, memory, device, attention)
    release_memory()  # what a model before this one has left in the allocator's cache is free for this one
    if placement is not None:
        blueprint.check_placement(placement)
    else:
        free = blueprint.memory_bytes or _scarce_bytes(blueprint)
        placement = PLACEMENTS[0] if free is None else blueprint.fitting_placement(free)
    return Backbone(blueprint, placement)


def make_blueprint(
    model: str | Path,
    precision: str | Precision | None = None,
    memory: str | int | None = None,
    device: str | torch.device = "auto",
    attention: str = "auto",
) -> Blueprint:
    """What would be loaded; arguments and errors as of `load_backbone`."""
    target = find_device(device)
    memory_bytes = None if memory is None else parse_memory(memory)
    checkpoint = find_checkpoint(str(model))
    family = family_of(checkpoint.path)
    asked = _asked_precision(checkpoint, family, precision)
    made = Blueprint(checkpoint, family, asked, target, chosen_attention(attention, family), memory_bytes)
    reason = unavailable(made.resolved.stem.weights, target)
    if reason and checkpoint.policy() is None:
        raise InputError(f"precision {asked}: {reason}")
    return made


def _asked_precision(checkpoint: Checkpoint, family: Family, precision: str | Precision | None) -> Precision:
    """Of a language model alone. InputError if words are said of what it has not."""
    if precision is not None:
        policy = parse_precision(precision)
        others = {name: policy.part(name) for name in PARTS if name != "stem"}
        plain = dict.fromkeys(others, Part())
        preset = {name: stem_alone(policy).part(name) for name in others}
        if others not in (plain, preset) or policy.pair != "fp32" or policy.operand is not None:
            raise InputError(
                f"precision {policy}: a language model by itself has one part; leave other parts and states out"
            )
    elsewhere = _globs_elsewhere(checkpoint, family)
    return checkpoint.asked_precision(precision, narrowed=partial(stem_alone, elsewhere=elsewhere))


def _globs_elsewhere(checkpoint: Checkpoint, family: Family) -> list[str]:
    """Of a quantized ESMFold's policy, the globs that match nothing in its language model."""
    policy = checkpoint.policy()
    if policy is None or not (policy.include or policy.exclude) or not family.within_folding_model:
        return []
    return policy.unmatched_globs(linear_names(checkpoint, family.architecture))


def _scarce_bytes(blueprint: Blueprint) -> int | None:
    """What is free on the device, if the model might not fit into half of it; None where there is plenty, or the system
    does not say: a plan takes a second, and most models fit."""
    free = usable_bytes(blueprint.device)
    return free if free is not None and 2 * blueprint.weight_bytes["resident"] > free else None
