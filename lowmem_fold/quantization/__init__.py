"""Weights in fewer bits: what is stored, how torch alone computes with it, and which back end makes it."""

from .formats import FORMATS, Format
from .registry import quantize, unavailable
from .stored import StoredLinear, quantize_linear

__all__ = ["FORMATS", "Format", "StoredLinear", "quantize", "quantize_linear", "unavailable"]
