"""Where weights live, and how they arrive where they are used."""

from .layers import Layers, Residency
from .placements import PLACEMENTS, Held, WeightLayout, held_bytes, refusal, weight_layout
from .placing import load_placed

__all__ = [
    "PLACEMENTS",
    "Held",
    "Layers",
    "Residency",
    "WeightLayout",
    "held_bytes",
    "load_placed",
    "refusal",
    "weight_layout",
]
