"""Embeddings: the states that a language model has of a protein's residues, or one vector for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, ModelError
from .batches import run_batches
from .layers import Layers
from .pieces import Gathered, Piece, cut
from .pooling import pooled
from .recipe import Recipe
from .room import worthwhile_tokens
from .vectors import Embedding
from .windows import Window

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["Embedder"]

_MOST_HELD_BYTES = 2**28
"""Of the results of a batch, before they are written."""


class Embedder:
    """A model and a recipe, put together.

    Raises
    ------
    InputError
        The model has not such a layer, no token before the residues (`cls`), or takes windows no longer than their
        overlap.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe) -> None:
        self.backbone, self.recipe = backbone, recipe
        self.layers: Layers = recipe.layers.of(backbone.num_layers)
        limits = [limit for limit in (recipe.max_length, backbone.family.max_residues) if limit is not None]
        self.limit = min(limits, default=None)
        if "cls" in recipe.pool and not backbone.family.prefix:
            raise InputError(f"{backbone.family.name} has no token before the residues: there is no cls to pool")
        if self.limit is not None and recipe.overlap is not None and recipe.overlap >= self.limit:
            raise InputError(f"windows hold {self.limit} residues and cannot share {recipe.overlap}")

    def is_long(self, sequence: str) -> bool:
        """Whether a sequence has more residues than can be run at once."""
        return self.limit is not None and len(sequence) > self.limit

    def taken(self, sequence: str) -> str:
        """What is embedded of a sequence: less than all where it is truncated. InputError where it is refused."""
        if not self.is_long(sequence) or self.recipe.long == "windows":
            return sequence
        if self.recipe.long == "truncate":
            return sequence[: self.limit]
        raise InputError(
            f"{len(sequence)} residues are more than the {self.limit} that {self._whose_limit()}: choose what becomes"
            " of long ones (--long truncate or windows)"
        )

    def embed_all(
        self,
        sequences: Sequence[str],
        receive: Callable[[Mapping[int, Embedding]], None],
        max_tokens: int | None = None,
        failed: Callable[[int, Exception], None] | None = None,
    ) -> None:
        """Embed any number of sequences, like lengths together; windows of long ones are of one length.

        Parameters
        ----------
        sequences : sequence of str
            As `taken` gives them.
        receive : callable
            Called with the embeddings of each batch, by index.
        max_tokens : int, optional
            Of a batch; by default as many as are worthwhile and fit.
        failed : callable, optional
            Called for a sequence that cannot be run, with its index and the error. By default that error is raised.
        """
        pieces = [piece for index, sequence in enumerate(sequences) for piece in self._cut(index, sequence)]
        gathered = Gathered(pieces)

        def run(batch: list[int]) -> None:
            wanted = [pieces[number] for number in batch if pieces[number] in gathered]
            done = self._run(wanted, gathered)
            if done:
                receive(done)
            for index in done:
                gathered.drop(index)

        def fail(number: int, error: Exception) -> None:
            assert failed is not None
            if pieces[number] in gathered:  # a sequence fails once
                gathered.drop(pieces[number].index)
                failed(pieces[number].index, error)

        states = self.recipe.residues or any(piece.window for piece in pieces)
        run_batches(
            self.backbone,
            [self._num_tokens(piece) for piece in pieces],
            run,
            max_tokens=max_tokens or min(worthwhile_tokens(self.backbone.device), self._tokens_held(states)),
            kept_bytes=partial(self._device_bytes, states),
            failed=failed and fail,
        )

    def _cut(self, index: int, sequence: str) -> list[Piece]:
        return cut(index, sequence, self.limit, self.recipe.overlap)

    def _num_tokens(self, piece: Piece) -> int:
        family = self.backbone.family
        return len(family.prefix) + len(piece.text) + len(family.suffix)

    def result_floats(self, length: int) -> int:
        """Numbers of the embedding of a protein."""
        rows = (length if self.recipe.residues else 0) + len(self.recipe.pool)
        return self.layers.num_results * rows * self.backbone.width

    def embed(self, sequences: Sequence[str]) -> list[Embedding]:
        """Embed sequences in one batch, windows of long ones in another.

        Parameters
        ----------
        sequences : sequence of str
            As `taken` gives them.

        Raises
        ------
        InputError
            A letter is no residue.
        ModelError
            Results are no numbers, as where half precision overflows.
        """
        pieces = [piece for index, sequence in enumerate(sequences) for piece in self._cut(index, sequence)]
        found = self._run(pieces, Gathered(pieces))
        return [found[index] for index in range(len(sequences))]

    def _run(self, pieces: Sequence[Piece], gathered: Gathered) -> dict[int, Embedding]:
        """Run pieces; returns the sequences that are whole now. Errors as `embed`."""
        whole = [piece for piece in pieces if piece.window is None]
        parts = [piece for piece in pieces if piece.window is not None]
        found = self._batch(whole, self.recipe.residues, self.recipe.pool)
        found += self._batch(parts, True, ("cls",) if "cls" in self.recipe.pool else ())
        for piece, embedding in zip([*whole, *parts], found, strict=True):
            gathered.add(piece, self._checked(_without_overlap(embedding, piece.window)))
        done = {piece.index: gathered.parts(piece.index) for piece in pieces}
        return {index: self._joined(found) for index, found in done.items() if found}

    def _checked(self, embedding: Embedding) -> Embedding:
        if not embedding.is_finite():
            raise ModelError(
                f"results are not finite numbers in {self.backbone.precision}; give a precision of a wider range, as"
                " bf16 or fp32"
            )
        return embedding

    def _batch(self, pieces: Sequence[Piece], residues: bool, pool: Sequence[str]) -> list[Embedding]:
        if not pieces:
            return []
        tokens = [self.backbone.family.encode(piece.text) for piece in pieces]
        sink = _Sink(self.backbone, tokens, self.layers, residues, pool)
        self.backbone.hidden_states(tokens, sorted(self.layers.numbers), sink.receive)
        return sink.embeddings()

    def _joined(self, parts: list[Embedding]) -> Embedding:
        """Of a sequence: the results of its windows, or of all of it at once."""
        if len(parts) == 1:
            return parts[0]
        states = np.concatenate([part.residues for part in parts if part.residues is not None], axis=-2)
        if not self.recipe.pool:
            return Embedding(states, None)
        tokens = [part.pooled for part in parts if part.pooled is not None]
        cls = torch.from_numpy(np.mean(tokens, axis=0)) if tokens else None
        vector = pooled(torch.from_numpy(states), cls, self.recipe.pool).numpy()
        return self._checked(Embedding(states if self.recipe.residues else None, vector))

    def _tokens_held(self, states: bool) -> int:
        """Tokens of a batch whose results are not too much for main memory. states: whether they hold residues."""
        floats = self.result_floats(0) + self.layers.num_results * self.backbone.width * states
        return _MOST_HELD_BYTES // (4 * floats)

    def _device_bytes(self, states: bool, tokens: int) -> int:
        """What is made of a batch's states on the device. states: whether they are results themselves."""
        copies = 2 if self.layers.weights else 1
        if self.backbone.device.type == "cpu" and states:
            copies += self.layers.num_results
        return 4 * tokens * self.backbone.width * copies

    def _whose_limit(self) -> str:
        model = self.backbone.family.max_residues
        return f"{self.backbone.family.name} takes" if model == self.limit else "max_length allows"


class _Sink:
    """Takes the layers of a batch as they come, and keeps of them what is asked for."""

    def __init__(
        self, backbone: Backbone, tokens: Sequence[list[int]], layers: Layers, residues: bool, pool: Sequence[str]
    ) -> None:
        self._layers, self._wants_residues, self._pool = layers, residues, pool
        slices = [backbone.family.residues(each) for each in tokens]
        self._lengths = [each.stop - each.start for each in slices]
        width = max(map(len, tokens))
        rows = [torch.arange(i * width + each.start, i * width + each.stop) for i, each in enumerate(slices)]
        self._rows = torch.cat(rows).to(backbone.device)  # of the batch's (B * T), those that are residues
        self._mixed: tuple[Tensor, Tensor] | None = None
        self._left = len(layers.numbers)
        self._residues: dict[int, Tensor] = {}
        self._pooled: dict[int, Tensor] = {}

    def receive(self, number: int, states: Tensor) -> None:
        """Of a layer: (B, T, D)."""
        # In float32 whatever the model computes in: sums over many residues would overflow half precision.
        taken, cls = states.flatten(0, 1).index_select(0, self._rows).float(), states[:, 0].float()
        self._left -= 1
        if self._layers.weights is None:
            self._keep(number, taken, cls)
            return
        weight = self._layers.weights[self._layers.numbers.index(number)]
        if self._mixed is None:
            self._mixed = taken * weight, cls * weight
        else:
            self._mixed[0].add_(taken, alpha=weight)
            self._mixed[1].add_(cls, alpha=weight)
        if not self._left:
            self._keep(number, *self._mixed)

    def _keep(self, number: int, taken: Tensor, cls: Tensor) -> None:
        if self._wants_residues:
            self._residues[number] = taken.cpu()
        if self._pool:
            # Each by itself: a sum over a padded batch would round otherwise in another batch.
            vectors = [pooled(*each, self._pool) for each in zip(taken.split(self._lengths), cls, strict=True)]
            self._pooled[number] = torch.stack(vectors).cpu()

    def embeddings(self) -> list[Embedding]:
        """Of each sequence."""
        residues = self._stacked(self._residues)
        vectors = self._stacked(self._pooled)
        parts = [None] * len(self._lengths) if residues is None else residues.split(self._lengths, dim=-2)
        return [
            Embedding(_array(part), None if vectors is None else _array(vectors[..., index, :]))
            for index, part in enumerate(parts)
        ]

    def _stacked(self, by_number: dict[int, Tensor]) -> Tensor | None:
        if not by_number:
            return None
        if not self._layers.stacked:
            return next(iter(by_number.values()))
        return torch.stack([by_number[number] for number in self._layers.numbers])


def _without_overlap(embedding: Embedding, window: Window | None) -> Embedding:
    """Of a window's residues a copy of those that count."""
    if window is None or embedding.residues is None:
        return embedding
    own = embedding.residues[..., window.first - window.start : window.last - window.start, :]
    return Embedding(own.copy(), embedding.pooled)


def _array(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else np.ascontiguousarray(tensor.numpy())
