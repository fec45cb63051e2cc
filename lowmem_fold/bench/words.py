"""Names in records as people read them in pictures and pages."""

from __future__ import annotations

from .groups import Group

__all__ = ["PHASE_WORDS", "group_words", "way_words"]

#: By name of a sample's phase.
PHASE_WORDS = {"stem": "language model", "trunk": "trunk", "structure": "structure module", "heads": "heads"}
_MODELS = {"stand-in": "ESMFold v1, full-size random weights", "demo": "the demo model"}
_WAYS = {
    "stock fp16 stem": "stock, language model in fp16",
    "the article's recipe": "stock, QuantoConfig(int8)",
    "bitsandbytes 8-bit through from_pretrained": "stock, bitsandbytes 8-bit",
    "accelerate cpu_offload": "stock, accelerate cpu_offload",
}


def way_words(way: str) -> str:
    """Words for a way of folding (`groups.way_of`); one that has none stays as it is."""
    return _WAYS.get(way, way.replace(", resident", "").replace(", streamed", ", weights streamed"))


def group_words(group: Group) -> str:
    """Model, machine and recycles in words."""
    name = _MODELS.get(group.model)
    return group.title if name is None else name + group.title.removeprefix(group.model)
