"""Embeddings: the states that a language model has of a protein's residues, or one vector for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, ModelError
from .batches import run_batches
from .layers import Layers
from .pooling import pooled
from .recipe import Recipe
from .room import worthwhile_tokens
from .windows import windows

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["Embedder", "Embedding"]

_MOST_HELD_BYTES = 2**28
"""Of the results of a batch, before they are written."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """Of one protein of L residues; D is the width of the model.

    Attributes
    ----------
    residues : ndarray, shape=(L, D) or (layers, L, D), dtype=float32, optional
        With an axis of layers where several were asked for. Of a truncated sequence L counts what was left.
    pooled : ndarray, shape=(parts * D,) or (layers, parts * D), dtype=float32, optional
        The poolings asked for, concatenated.
    """

    residues: np.ndarray | None
    pooled: np.ndarray | None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Those that there are, by name."""
        both = {"residues": self.residues, "pooled": self.pooled}
        return {name: array for name, array in both.items() if array is not None}

    def is_finite(self) -> bool:
        """Whether all of it are numbers: half precision may have overflowed."""
        return all(bool(np.isfinite(array).all()) for array in self.arrays.values())


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
        """Embed any number of sequences, like lengths together.

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

        def run(batch: list[int]) -> None:
            found = self.embed([sequences[index] for index in batch])
            receive(dict(zip(batch, found, strict=True)))

        lengths = [self.num_tokens(sequence) for sequence in sequences]
        most = max_tokens or min(worthwhile_tokens(self.backbone.device), self._tokens_held())
        run_batches(self.backbone, lengths, run, max_tokens=most, kept_bytes=self._device_bytes, failed=failed)

    def num_tokens(self, sequence: str) -> int:
        """Tokens that a sequence has in a batch: those of a window where it is cut into such."""
        family = self.backbone.family
        special = len(family.prefix) + len(family.suffix)
        return min(len(sequence), self.limit or len(sequence)) + special

    def result_floats(self, length: int) -> int:
        """Numbers of the embedding of a protein."""
        rows = (length if self.recipe.residues else 0) + len(self.recipe.pool)
        return self.layers.num_results * rows * self.backbone.width

    def embed(self, sequences: Sequence[str]) -> list[Embedding]:
        """Embed sequences in one batch, but for long ones, of which each window is one.

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
        short = [sequence for sequence in sequences if not self.is_long(sequence)]
        whole = iter(self._batch(short, self.recipe.residues, self.recipe.pool) if short else [])
        found = [self._in_windows(each) if self.is_long(each) else next(whole) for each in sequences]
        if not all(embedding.is_finite() for embedding in found):
            raise ModelError(
                f"results are no finite numbers in {self.backbone.precision}; give a precision of a wider range, as"
                " bf16 or fp32"
            )
        return found

    def _batch(self, sequences: Sequence[str], residues: bool, pool: Sequence[str]) -> list[Embedding]:
        tokens = [self.backbone.family.encode(sequence) for sequence in sequences]
        sink = _Sink(self.backbone, tokens, self.layers, residues, pool)
        self.backbone.hidden_states(tokens, sorted(self.layers.numbers), sink.receive)
        return sink.embeddings()

    def _in_windows(self, sequence: str) -> Embedding:
        """One window after the other: each is a batch as large as any."""
        assert self.limit is not None
        overlap = self.limit // 4 if self.recipe.overlap is None else self.recipe.overlap
        pool = ("cls",) if "cls" in self.recipe.pool else ()
        parts: list[np.ndarray] = []
        tokens: list[np.ndarray] = []
        for window in windows(len(sequence), self.limit, overlap):
            (found,) = self._batch([sequence[window.start : window.end]], True, pool)
            assert found.residues is not None
            parts.append(found.residues[..., window.first - window.start : window.last - window.start, :].copy())
            tokens += [] if found.pooled is None else [found.pooled]
        states = np.concatenate(parts, axis=-2)
        if not self.recipe.pool:
            return Embedding(states, None)
        cls = torch.from_numpy(np.mean(tokens, axis=0)) if tokens else None
        vector = pooled(torch.from_numpy(states), cls, self.recipe.pool).numpy()
        return Embedding(states if self.recipe.residues else None, vector)

    def _tokens_held(self) -> int:
        """Tokens of a batch whose results are not too much for main memory."""
        return _MOST_HELD_BYTES // (4 * self.result_floats(1))

    def _device_bytes(self, tokens: int) -> int:
        """What is made of a batch's states on the device."""
        copies = 2 if self.layers.weights else 1
        if self.backbone.device.type == "cpu" and self.recipe.residues:
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


def _array(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else np.ascontiguousarray(tensor.numpy())
