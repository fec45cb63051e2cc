"""What the functions of the engine do, counted from the shapes of a model: the arithmetic that a prediction scales.

The quantities are those of `families.interface.Work`.

With L residues, T = L + 2 tokens, and the widths of `Widths` (D, F stem; S sequence state; C pair state; s, z of the
structure module with h heads of d channels), the leading terms are, for ESMFold's modules:

| function | projections | contractions |
|---|---|---|
| stem, a layer | T (4 D^2 + 2 D F) | 2 T^2 D |
| sequence | 13 L S^2 + L^2 C (S / head width) | 2 L^2 S |
| sequence to pair | L^2 C^2 / 2 + 2 L C S / 2 + L C^2 | |
| triangle multiplication, both | 12 L^2 C^2 | 2 L^3 C |
| triangle attention, both | L^2 (10 C^2 + 2 C heads) | 4 L^3 C |
| pair transition | 8 L^2 C^2 | |
| structure, an iteration | L (s weights) + L^2 z (C + h) | L^2 h (d + d + 3 points) |

`tests/esmfold/test_work.py` counts the same on tensors. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..families.interface import Work
from ..pair.tiles import Tiling

__all__ = ["FUNCTIONS", "PER_BLOCK", "PER_PASS", "Widths"]

_BINS = 64  # of the aligned error: transformers leaves no choice, and none here:
_PLDDT_NUMBERS = 37 * 50
_POINT_AXES = 3


@dataclass(frozen=True)
class Widths:
    """Dimensions of a model that its time depends on, under the names of its configuration."""

    stem_layers: int
    hidden_size: int
    intermediate_size: int
    blocks: int
    sequence_state_dim: int
    sequence_heads: int
    pairwise_state_dim: int
    pairwise_heads: int
    structure_blocks: int
    sequence_dim: int
    pairwise_dim: int
    ipa_dim: int
    ipa_heads: int
    qk_points: int
    v_points: int
    resnet_dim: int
    resnet_blocks: int
    transition_layers: int
    lddt_head_dim: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Widths:
        """Of a model's `config.json`; what it leaves out is as in ESMFold v1, which is what transformers takes too."""
        folding = config.get("esmfold_config") or {}
        trunk = folding.get("trunk") or {}
        structure = trunk.get("structure_module") or {}
        sequence, pairwise = trunk.get("sequence_state_dim", 1024), trunk.get("pairwise_state_dim", 128)
        return cls(
            stem_layers=config["num_hidden_layers"],
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            blocks=trunk.get("num_blocks", 48),
            sequence_state_dim=sequence,
            sequence_heads=sequence // trunk.get("sequence_head_width", 32),
            pairwise_state_dim=pairwise,
            pairwise_heads=pairwise // trunk.get("pairwise_head_width", 32),
            structure_blocks=structure.get("num_blocks", 8),
            sequence_dim=structure.get("sequence_dim", 384),
            pairwise_dim=structure.get("pairwise_dim", 128),
            ipa_dim=structure.get("ipa_dim", 16),
            ipa_heads=structure.get("num_heads_ipa", 12),
            qk_points=structure.get("num_qk_points", 4),
            v_points=structure.get("num_v_points", 8),
            resnet_dim=structure.get("resnet_dim", 128),
            resnet_blocks=structure.get("num_resnet_blocks", 2),
            transition_layers=structure.get("num_transition_layers", 1),
            lddt_head_dim=folding.get("lddt_head_hid_dim", 128),
        )

    @property
    def stem_layer_weights(self) -> int:
        """Numbers in the matrices of a layer of the stem."""
        return 4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size

    @property
    def sequence_track_weights(self) -> int:
        """Numbers in the matrices of a block's sequence track."""
        return 13 * self.sequence_state_dim**2


def _tiles(length: int, height: int) -> int:
    return -(-length // height)


def _stem(widths: Widths, length: int, tiling: Tiling) -> Work:
    """The whole stem, from residue types to the sequence state before the trunk."""
    tokens, n, d, s = length + 2, widths.stem_layers, widths.hidden_size, widths.sequence_state_dim
    return Work(
        calls=48 + 25 * n,
        weights=n * widths.stem_layer_weights + d * s + s * s,
        projections=tokens * n * widths.stem_layer_weights + length * (d * s + s * s),
        contractions=2 * n * tokens**2 * d,
        numbers=tokens * (n * (16 * d + widths.intermediate_size) + 10 * d) + 3 * length * s,
    )


def _sequence(widths: Widths, length: int, tiling: Tiling) -> Work:
    s, c, heads, pairs = widths.sequence_state_dim, widths.pairwise_state_dim, widths.sequence_heads, length**2
    return Work(
        calls=12 + 4 * _tiles(length, tiling.height(length, c + 2 * heads)),
        weights=widths.sequence_track_weights,
        projections=length * widths.sequence_track_weights + pairs * c * heads,
        contractions=2 * pairs * s,
        numbers=11 * length * s + pairs * c,
    )


def _sequence_to_pair(widths: Widths, length: int, tiling: Tiling) -> Work:
    s, c, pairs = widths.sequence_state_dim, widths.pairwise_state_dim, length**2
    inner = c // 2
    return Work(
        calls=4 + 5 * _tiles(length, tiling.height(length, 2 * c)),
        projections=2 * length * inner * (s + c) + pairs * inner * c,
        numbers=length * s + pairs * (inner + 3 * c),
    )


def _triangle_multiplication(widths: Widths, length: int, tiling: Tiling) -> Work:
    """Outgoing and incoming."""
    c, pairs = widths.pairwise_state_dim, length**2
    block = tiling.height(length, 2 * c, product=True)
    inner = tiling.height(length, 4 * c)
    whole, blocks = _tiles(length, inner), _tiles(length, block)
    parts = (length // block) * _tiles(block, inner) + _tiles(length % block, inner)
    return Work(
        calls=2 * (6.5 * whole + blocks + (6.5 + 9.5) * parts),
        projections=12 * pairs * c**2,
        contractions=2 * length * pairs * c,
        numbers=33 * pairs * c,
    )


def _triangle_attention(widths: Widths, length: int, tiling: Tiling) -> Work:
    """Around the starting and the ending node."""
    c, heads, pairs = widths.pairwise_state_dim, widths.pairwise_heads, length**2
    return Work(
        calls=2 + 26 * _tiles(length, tiling.height(length, 7 * c)),
        projections=2 * pairs * (5 * c**2 + c * heads),
        contractions=4 * length * pairs * c,
        numbers=pairs * (16 * c + 2 * heads) + 8 * c**2,
    )


def _pair_transition(widths: Widths, length: int, tiling: Tiling) -> Work:
    c, pairs = widths.pairwise_state_dim, length**2
    return Work(
        calls=6 * _tiles(length, tiling.height(length, 6 * c)), projections=8 * pairs * c**2, numbers=7 * pairs * c
    )


def _recycling(widths: Widths, length: int, tiling: Tiling) -> Work:
    c, pairs = widths.pairwise_state_dim, length**2
    return Work(calls=9 + 14 * _tiles(length, tiling.height(length, 3 * c)), numbers=pairs * (5 * c + 11))


def _structure(widths: Widths, length: int, tiling: Tiling) -> Work:
    w, pairs, n = widths, length**2, widths.structure_blocks
    s, z, heads, width = w.sequence_dim, w.pairwise_dim, w.ipa_heads, w.ipa_dim
    points = _POINT_AXES * w.v_points
    features = heads * (width + points + w.v_points + z)
    of_points = heads * _POINT_AXES * (2 * w.qk_points + w.v_points)
    iteration = s * (3 * heads * width + of_points + features + 3 * s * w.transition_layers + 6)
    once = w.sequence_state_dim * s + s**2 + 2 * s * w.resnet_dim + 2 * w.resnet_blocks * w.resnet_dim**2
    per_residue = 760 + 8 * s + heads * (z + 4 * width + 48 * w.qk_points + 58 * w.v_points)
    tiles = _tiles(length, tiling.height(length, 2 * z + 3 * heads))
    return Work(
        calls=414 + 86 * n + (4 + n * (38 + 2 * _POINT_AXES * w.qk_points)) * tiles,
        weights=n * iteration + once,
        projections=length * (n * iteration + once) + pairs * (z * heads + (n + 1) * w.pairwise_state_dim * z),
        contractions=n * pairs * heads * (2 * width + points + z),
        numbers=pairs * (n * heads * (6 * w.qk_points + 4) + (n + 1) * z + heads)
        + length * (4600 + 8 * w.resnet_dim + n * per_residue),
    )


def _heads(widths: Widths, length: int, tiling: Tiling) -> Work:
    """Aligned error with the TM terms of it, and pLDDT."""
    c, s, hidden, pairs = widths.pairwise_state_dim, widths.sequence_dim, widths.lddt_head_dim, length**2
    of_plddt = s * hidden + hidden**2 + hidden * _PLDDT_NUMBERS
    return Work(
        calls=22 + 9 * _tiles(length, tiling.height(length, c + 3 * _BINS)),
        weights=of_plddt,
        projections=pairs * c * _BINS + length * of_plddt,
        numbers=pairs * (_BINS + 5) + length * (s + _PLDDT_NUMBERS),
    )


#: Work of the engine's functions on one protein of a length.
FUNCTIONS: dict[str, Callable[[Widths, int, Tiling], Work]] = {
    "stem": _stem,
    "sequence": _sequence,
    "sequence_to_pair": _sequence_to_pair,
    "triangle_multiplication": _triangle_multiplication,
    "triangle_attention": _triangle_attention,
    "pair_transition": _pair_transition,
    "recycling": _recycling,
    "structure": _structure,
    "heads": _heads,
}
#: Those that run once in each block, and once in each pass; the stem and the heads run once in a fold.
PER_BLOCK = ("sequence", "sequence_to_pair", "triangle_multiplication", "triangle_attention", "pair_transition")
PER_PASS = ("recycling", "structure")
