"""How near the states of a language model's layers are to those of another form of it: stock transformers in float32,
or the same model at another precision.

>>> backbone = lf.load_backbone("facebook/esm2_t6_8M_UR50D", precision="int8")
>>> print(lf.compare_states(lf.stock_states("facebook/esm2_t6_8M_UR50D"), backbone, ["MKTAYIAKQR", "GSHMLE"]))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.checkpoint import find_checkpoint
from ..checkpoints.container import container_of, quiet_transformers
from ..errors import InputError
from ..sequences.sequence_lists import GivenSequence, Sequences, list_sequences
from .backbone import Backbone
from .chain import check_chain, masked_chain
from .families import Family, family_of
from .passes import padded

__all__ = ["LayerParity", "Parity", "compare_states", "stock_states"]

#: States of all layers of a batch: (layers + 1, B, T, width) of its token ids.
States = Callable[[Sequence[list[int]]], Tensor]


@dataclass(frozen=True)
class LayerParity:
    """One layer of two models, over all residues of a batch.

    Attributes
    ----------
    layer : int
        As `Backbone.hidden_states` numbers them.
    relative_error : float
        The largest norm of a residue's difference, by the norm of its state in the reference.
    mean_relative_error : float
    cosine : float
        The smallest cosine of a residue's two states.
    mean_cosine : float
    """

    layer: int
    relative_error: float
    mean_relative_error: float
    cosine: float
    mean_cosine: float


@dataclass(frozen=True)
class Parity:
    """All layers of two models; as text a table."""

    layers: tuple[LayerParity, ...]

    @property
    def relative_error(self) -> float:
        """The largest of all layers."""
        return max(layer.relative_error for layer in self.layers)

    @property
    def cosine(self) -> float:
        """The smallest of all layers."""
        return min(layer.cosine for layer in self.layers)

    def __str__(self) -> str:
        head = f"{'layer':>5}  {'relative error: worst':>21}  {'mean':>8}  {'cosine: worst':>13}  {'mean':>9}"
        rows = [
            f"{one.layer:>5}  {one.relative_error:>21.2e}  {one.mean_relative_error:>8.2e}"
            f"  {one.cosine:>13.6f}  {one.mean_cosine:>9.6f}"
            for one in self.layers
        ]
        return "\n".join([head, *rows])


def compare_states(
    reference: Backbone | States, other: Backbone, sequences: Sequences, *, allow_nucleotide_letters: bool = False
) -> Parity:
    """The states of all layers, of all residues of these sequences, run as one batch, padded.

    Parameters
    ----------
    reference : Backbone or callable
        `stock_states(model)`, or the model at another precision.
    other : Backbone
    sequences : iterable or mapping of str or Record
        One chain each; as of `embed`.
    allow_nucleotide_letters : bool
        As of `embed`.

    Raises
    ------
    InputError
        The two have not the same layers, or a sequence is not what it should be.
    """
    family = other.family
    tokens = [_encoded(given, family, allow_nucleotide_letters) for given in list_sequences(sequences)]
    expected, found = _states(reference)(tokens), _states(other)(tokens)
    if expected.shape != found.shape:
        raise InputError(f"states are {tuple(found.shape)} and {tuple(expected.shape)}: these are different models")
    chosen = torch.zeros(found.shape[1:3], dtype=torch.bool)
    for row, each in enumerate(tokens):
        chosen[row, family.residues(each)] = True
    return Parity(
        tuple(
            _compared(number, *pair)
            for number, pair in enumerate(zip(expected[:, chosen], found[:, chosen], strict=True))
        )
    )


def _encoded(given: GivenSequence, family: Family, allow_nucleotide_letters: bool) -> list[int]:
    chain = masked_chain(given.sequence, given.name, allow_nucleotide_letters)
    check_chain(chain, given.name, family)
    return family.encode(chain)


def _states(model: Backbone | States) -> States:
    if not isinstance(model, Backbone):
        return model

    def run(token_lists: Sequence[list[int]]) -> Tensor:
        found: list[Tensor] = []
        every = range(model.num_layers + 1)
        model.hidden_states(token_lists, every, lambda number, states: found.append(states.float().cpu().clone()))
        return torch.stack(found)

    return run


def _compared(number: int, expected: Tensor, found: Tensor) -> LayerParity:
    """Of states (residues, width), in float64."""
    expected, found = expected.double(), found.double()
    errors = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    cosines = F.cosine_similarity(found, expected, dim=-1)
    return LayerParity(number, errors.max().item(), errors.mean().item(), cosines.min().item(), cosines.mean().item())


def stock_states(model: str | Path, attention: str = "eager") -> States:
    """What stock transformers gives: loaded by `from_pretrained` in float32 on the CPU, `output_hidden_states`.

    Parameters
    ----------
    model : str or Path
        As of `load_backbone`; not a folder of `lowmem-fold quantize`, which stock cannot read.
    attention : str
        The implementation that stock is to run with.

    Raises
    ------
    InputError
        The folder is a quantized one.
    ModelError
        As of `load_backbone`.
    """
    checkpoint = find_checkpoint(str(model))
    if checkpoint.policy() is not None:
        raise InputError(f"{checkpoint.name} is quantized, and stock transformers cannot read it: give its source")
    family = family_of(checkpoint.path)
    architecture = family.architecture
    with quiet_transformers():
        container = container_of(architecture)
        stock = container.from_pretrained(checkpoint.path, dtype=torch.float32, attn_implementation=attention).eval()
    base = stock.get_submodule(architecture.base)

    def run(token_lists: Sequence[list[int]]) -> Tensor:
        tokens, mask = padded(token_lists, family.pad_id, torch.device("cpu"))
        with torch.no_grad():
            found = base(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
        return torch.stack(found.hidden_states)

    return run
