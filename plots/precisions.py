"""Precisions of weights as pictures show them: a colour and words for each, the same in every picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lowmem_fold.system.style import Theme

__all__ = ["ARTICLE_LENGTH", "ARTICLE_MEMORY_GB", "ARTICLE_NOTE", "ARTICLE_SECONDS", "COLORS", "WORDS", "mark_article"]

COLORS = {
    "fp32": "blue",
    "fp16": "orange",
    "bf16": "earth",
    "int8": "green",
    "float8": "sky",
    "bnb-int8": "grey",
    "int4": "purple",
    "bnb-nf4": "earth",
}
WORDS = {
    "fp32": "fp32",
    "fp16": "fp16 (language model)",
    "bf16": "bf16",
    "int8": "int8",
    "float8": "float8",
    "bnb-int8": "int8, bitsandbytes",
    "int4": "int4",
    "bnb-nf4": "nf4 (4 bits), bitsandbytes",
    "pair=fp16": "fp32, pair state in fp16",
    "pair=bf16": "fp32, pair state in bf16",
}
#: What the article that this project set out from reports of one protein; its GPU and settings are not named.
ARTICLE_LENGTH = 257
ARTICLE_MEMORY_GB = {"fp32": 16.0, "fp16": 10.2, "int8": 6.0}
ARTICLE_SECONDS = 7.0
ARTICLE_NOTE = (
    "x: figures that an article on quantizing ESMFold reports for carbonic anhydrase II (257 residues); GPU not named."
)


def mark_article(axes: Axes, theme: Theme, value: float, words: str) -> None:
    """A cross at the article's protein."""
    axes.plot([ARTICLE_LENGTH], [value], "x", color=theme.text, markersize=7, markeredgewidth=1.8, zorder=5)
    ground = {"facecolor": theme.page, "edgecolor": "none", "pad": 0.4, "alpha": 0.8}
    place = (ARTICLE_LENGTH, value)
    axes.annotate(words, place, xytext=(0, 8), textcoords="offset points", ha="center", fontsize=8, bbox=ground)
