"""What a family of folding models has to say of itself: the rooms above ask this, and know no tensor of any family.

A family is a room of its own whose `family.py` holds `FAMILY`, one object of the type `FoldingFamily`; `registry` finds
it by the name of the room. Importing `family.py` must not import torch, for which `--help` does not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..checkpoints.architecture import Architecture
    from ..pair.tiles import Tiling
    from ..precision import Precision
    from ..predictions.prediction import Prediction
    from ..residency.layers import Residency
    from ..sequences.records import Record

__all__ = ["Cost", "FoldingFamily", "Schedule", "Skeleton", "Work"]


@dataclass(frozen=True)
class Work:
    """What one call of a function does: five quantities, of which each has its price on a machine.

    Attributes
    ----------
    calls : float
        Operations started: their fixed cost, which is all that a short protein takes.
    weights : float
        Numbers of the weights of products that are read once, however long the protein.
    projections : float
        Multiply-adds of products with weights, and of the pair representation with attention weights.
    contractions : float
        Multiply-adds of products among activations that grow as L^3: triangles, attention.
    numbers : float
        Results written by all operations that are no product: norms, gates, sums, copies.
    """

    calls: float = 0
    weights: float = 0
    projections: float = 0
    contractions: float = 0
    numbers: float = 0

    def terms(self) -> dict[str, float]:
        """By name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True)
class Schedule:
    """How often a fold of one model runs the functions of its `Cost`, beside `stem`, which it runs once.

    Attributes
    ----------
    once, per_pass, per_block : tuple of str
        Those that run once in a fold, in each pass, and in each block of each pass.
    blocks : int
        Of the trunk.
    stem_weights, block_weights : int
        Numbers in those matrices, of the language model and of a block, that a precision stores in another form.
    """

    once: tuple[str, ...]
    per_pass: tuple[str, ...]
    per_block: tuple[str, ...]
    blocks: int
    stem_weights: int
    block_weights: int


class Skeleton(Protocol):
    """A model of the family without bytes, to plan with."""

    def planned(self, precision: Precision) -> nn.Module:
        """The model on the meta device, in which one layer stands for all that are alike."""

    def activations(
        self, length: int, precision: Precision, tiling: Tiling, num_recycles: int, *, pae: bool = True
    ) -> Mapping[str, int]:
        """Peak bytes of all tensors but weights in each phase."""


class Cost(Protocol):
    """How long the family's functions take: what they do, and calls of them to be timed.

    Attributes
    ----------
    long_products : mapping of str to str
        Functions that spend most of a long protein in one kind of product, and which: `attention` or `triangle`.
    little_attention : tuple of str
        Functions whose attention is little beside their weights at lengths that can be timed.
    """

    long_products: Mapping[str, str]
    little_attention: tuple[str, ...]

    def functions(self) -> Sequence[str]:
        """Their names; the language model is `stem`."""

    def work(self, config: Mapping[str, Any], length: int, tiling: Tiling) -> Mapping[str, Work]:
        """What one call of each does on a protein of a length."""

    def schedule(self, config: Mapping[str, Any]) -> Schedule:
        """How often they run."""

    def probes(self, device: torch.device, dtypes: Sequence[str]) -> Mapping[tuple[str, str], nn.Module]:
        """Small models of random weights, by a name and the dtype of their language model."""

    def calls(self, probe: nn.Module, length: int) -> Mapping[str, Callable[[], Any]]:
        """A call of each function on random states."""

    def stock_peaks(self, lengths: Sequence[int], chunk_size: int | None) -> list[int]:
        """Peak bytes above the weights of stock's forward pass of the published model, at some lengths."""


class FoldingFamily(Protocol):
    """A family of folding models.

    Attributes
    ----------
    name : str
        Of its room.
    architecture : Architecture
        Where modules lie, which part of the precision each belongs to, and which buffers belong to the weights.
    published : tuple of str
        Hub ids of models that can be planned without their files: they have the `published_config`.
    phases : mapping of str to str
        The parts of a fold that have a peak of their own, in their order; and of each the stack of layers, `stem` or
        `trunk`, that is on the device in it where not all weights are.
    pair_bytes : int
        For each pair of residues, more than a fold takes.
    cost : Cost
    """

    name: str
    architecture: Architecture
    published: tuple[str, ...]
    phases: Mapping[str, str]
    pair_bytes: int
    cost: Cost

    def recognises(self, config: Mapping[str, Any]) -> bool:
        """Whether a `config.json` is of this family."""

    def refusal(self, config: Mapping[str, Any]) -> str | None:
        """Why a model of the family is not supported, if it is not."""

    def published_config(self) -> dict[str, Any]:
        """The `config.json` of the published model."""

    def stack_counts(self, config: Mapping[str, Any]) -> tuple[int, int]:
        """Layers of the language model, and blocks of the trunk."""

    def skeleton(self, config: Mapping[str, Any]) -> Skeleton:
        """What plans are made with."""

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Of a run's options, those that decide the numbers, and what else of the family does."""

    def check_options(self, **options: Any) -> None:
        """InputError for an option of `fold` that is out of range."""

    def features(self, record: Record, device: torch.device) -> Any:
        """What the model is given for a record; its `len` is the number of tokens."""

    def state_bytes(self, model: nn.Module) -> int:
        """Bytes for each token while the language model runs over many records."""

    def stem_states(
        self,
        model: nn.Module,
        given: Sequence[Any],
        residency: Residency,
        progress: Callable[[float], None] | None,
        group_tokens: int,
    ) -> list[Tensor]:
        """Of each record what the trunk begins with. group_tokens: that are computed together."""

    def fold(
        self,
        model: nn.Module,
        records: Sequence[Record],
        given: Sequence[Any],
        *,
        residency: Residency,
        precision: Precision,
        states: Sequence[Tensor] | None,
        **options: Any,
    ) -> list[Prediction]:
        """Fold records side by side. options: those of `Folder.fold_batch`."""
