"""A loaded language model: token ids in, states of its layers or logits out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.inventory import inventory
from ..errors import InputError
from ..memory.limit import enforced
from ..precision import Precision
from ..quantization.formats import FORMATS
from ..residency.layers import Residency
from ..residency.placed_model import PlacedModel
from .blueprint import PLACEMENTS, Blueprint
from .families import Family
from .passes import head_logits, padded, run_layers

if TYPE_CHECKING:
    from ..sequences.records import Record
    from ..sequences.sequence_lists import Sequences
    from .fill import Filled
    from .generate import Generated
    from .likelihood import Likelihood
    from .variants import VariantScore
    from .vectors import Embedding

__all__ = ["Backbone"]


class Backbone:
    """A language model on its device. Made by `load_backbone`.

    Several threads may use it: their passes run one after another.
    """

    def __init__(self, blueprint: Blueprint, placement: str) -> None:
        self._blueprint = blueprint
        # A pass hangs hooks on the modules of the model, and brings their weights. The planner's model has hooks too.
        self._lock = threading.RLock()
        self._weights = PlacedModel(blueprint.checkpoint.name, self._loaded, placement)

    def _loaded(self, placement: str) -> tuple[Any, Residency]:
        with self._limited():
            return self._blueprint.load(placement)

    @property
    def model(self) -> Any:
        """The container of the weights. Raises WeightsLostError where `place` has lost them."""
        return self._weights.model

    @property
    def placement(self) -> str:
        """Where the weights live: `resident` or `streamed`."""
        return self._weights.placement

    @property
    def _residency(self) -> Residency:
        return self._weights.residency

    @property
    def checkpoint(self) -> Checkpoint:
        """Where its weights are from; `checkpoint.fingerprint()` tells models apart."""
        return self._blueprint.checkpoint

    @property
    def family(self) -> Family:
        """What is its own of tokens and limits."""
        return self._blueprint.family

    @property
    def config(self) -> Any:
        """Of transformers."""
        with self._lock:
            return self.model.config

    @property
    def precision(self) -> Precision:
        """As it was asked for; `str()` of it is what the command line takes."""
        return self._blueprint.precision

    @property
    def attention(self) -> str:
        """The implementation that is used: `sdpa` or `eager`."""
        return self._blueprint.attention

    @property
    def device(self) -> torch.device:
        """Where is computed."""
        return self._blueprint.device

    @property
    def placements(self) -> tuple[str, ...]:
        """Those that model, precision and device can have, from the fastest to the smallest."""
        return tuple(name for name in PLACEMENTS if self._blueprint.refusals[name] is None)

    def place(self, placement: str) -> None:
        """Give the weights up, and load them again in another placement.

        Raises
        ------
        InputError
            It cannot be had: says why. As after any other error, the weights are where they were.
        WeightsLostError
            They could not be loaded where they were either. A later call tries again.
        """
        self._blueprint.check_placement(placement)
        with self._lock:
            self._weights.place(placement)

    @property
    def num_layers(self) -> int:
        """n: layers are numbered from 0, the states after the embedding, to n, the last."""
        with self._lock:
            return len(self.family.architecture.stacks(self.model)[0])

    @property
    def width(self) -> int:
        """Numbers of a state."""
        return int(self.config.hidden_size)

    @property
    def masked_lm(self) -> bool:
        """Whether the checkpoint has a masked-language-model head, and so `logits`."""
        head = self.family.architecture.head
        with self._lock:
            return head is not None and getattr(self.model, head.partition(".")[0]) is not None

    def hidden_states(
        self, token_lists: Sequence[list[int]], layers: Iterable[int], receive: Callable[[int, Tensor], None]
    ) -> None:
        """Run one batch, padded on the right.

        Parameters
        ----------
        token_lists : sequence of list of int
            As `family.encode` gives them.
        layers : iterable of int
            0 is what the first layer takes; `num_layers` is what stock transformers gives as `last_hidden_state`, final
            norm included; the others are what each layer gives. So stock's `hidden_states` are numbered. Layers after
            the highest are not run.
        receive : callable
            Called with a layer's number and its states (B, T, width) as soon as it is done, in the order of the
            layers, T the longest. What stands at padding means nothing. The tensor is on the device, of the stream's
            dtype, and given up afterwards: copy or reduce what is to stay.

        Raises
        ------
        InputError
            No sequence, a layer that is none, or more tokens than the model has positions for.
        """
        wanted = frozenset(layers)
        if not wanted <= set(range(self.num_layers + 1)):
            raise InputError(f"layers are numbered from 0 to {self.num_layers}; {sorted(wanted)} were asked for")
        if wanted:
            with self._running(token_lists) as batch:
                run_layers(self.model, self._residency.stem(), *batch, wanted, receive)

    def logits(self, token_lists: Sequence[list[int]]) -> Tensor:
        """(B, T, vocabulary) of the masked-language-model head, float32, on the device; what stands at padding means
        nothing. Errors as `hidden_states`; InputError also where there is no head."""
        if not self.masked_lm:
            raise InputError(f"{self.checkpoint.name} has no masked-language-model head")
        with self._running(token_lists) as batch:
            return head_logits(self.model, self._residency.stem(), *batch)

    @contextmanager
    def _running(self, token_lists: Sequence[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Within the budget and alone of all threads, tokens and mask of a batch."""
        self._check(token_lists)
        with self._lock, self._limited(), self._weights.in_use():
            yield padded(token_lists, self.family.pad_id, self.device)

    def _check(self, token_lists: Sequence[list[int]]) -> None:
        if not token_lists or not all(token_lists):
            raise InputError("there is no sequence to run, or one of no tokens")
        limit, longest = self.family.max_residues, max(token_lists, key=len)
        residues = self.family.residues(longest)
        if limit is not None and residues.stop - residues.start > limit:
            found = residues.stop - residues.start
            raise InputError(f"{found} residues: {self.family.name} has positions for {limit}")

    @contextmanager
    def _limited(self) -> Iterator[None]:
        memory = self._blueprint.memory_bytes
        with nullcontext() if memory is None else enforced(self.device, memory):
            yield

    @property
    def runs_alone(self) -> bool:
        """Whether a sequence has to be a batch of its own for its numbers not to depend on what is beside it: in
        bnb-int8, which chooses and rounds what it multiplies by all that a layer is given."""
        return FORMATS[self._blueprint.resolved.stem.weights].mixes_rows

    def peak_bytes(self, batch: int, tokens: int, logits: bool = False) -> int:
        """Most bytes that `hidden_states`, or `logits`, of so many sequences of so many tokens each takes on the device
        besides the weights: planned, without running. What `receive` keeps is not counted. More tokens than the model
        has positions for count as these."""
        family = self.family
        if family.max_residues is not None:
            tokens = min(tokens, family.max_residues + len(family.prefix) + len(family.suffix))
        with self._lock:
            return self._blueprint.activations.peak_bytes(batch, tokens, logits)

    @property
    def room_bytes(self) -> int | None:
        """What the memory that `load_backbone` was given leaves for activations; None if it was given none."""
        return self._blueprint.room_bytes(self.placement)

    def describe(self) -> dict[str, Any]:
        """What a record of a run says of the model; JSON-able."""
        with self._lock:
            return {
                **self._blueprint.describe(inventory(self.model)),
                "placement": self.placement,
                "weights_wait_in": self._residency.waits_in,
            }

    def embed(self, sequences: Sequences, **options: Any) -> list[Embedding]:
        """Vectors of the residues of sequences, or of them as a whole (`layers`, `pool`, ...): see `embed.embed`."""
        from .embed import embed

        return embed(self, sequences, **options)

    def fill(self, sequences: Sequences, k: int = 5, **options: Any) -> list[Filled]:
        """The most probable amino acids at masked positions: see `fill.fill`."""
        from .fill import fill

        return fill(self, sequences, k, **options)

    def score(self, sequences: Sequences, **options: Any) -> list[Likelihood]:
        """The pseudo-perplexity of sequences: see `score.score`."""
        from .score import score

        return score(self, sequences, **options)

    def score_mutations(
        self, sequence: str | Record, mutations: str | Sequence[str], **options: Any
    ) -> list[VariantScore]:
        """The masked-marginal score of mutations: see `score.score_mutations`."""
        from .score import score_mutations

        return score_mutations(self, sequence, mutations, **options)

    def generate(self, template: str | Record, number: int = 1, **options: Any) -> list[Generated]:
        """Sequences by iterative unmasking of a template: see `generate.generate`."""
        from .generate import generate

        return generate(self, template, number, **options)
