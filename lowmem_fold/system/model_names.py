"""The names of well-known models, to suggest one where a name is mistyped or lacks its owner."""

from __future__ import annotations

from .suggestions import did_you_mean, nearest

__all__ = ["KNOWN_MODELS", "model_suggestion"]

KNOWN_MODELS = (
    "demo",
    "facebook/esmfold_v1",
    *(f"facebook/esm2_{size}_UR50D" for size in ("t6_8M", "t12_35M", "t30_150M", "t33_650M", "t36_3B", "t48_15B")),
    "facebook/esm1b_t33_650M_UR50S",
    *(f"facebook/esm1v_t33_650M_UR90S_{number}" for number in range(1, 6)),
)


def model_suggestion(name: str) -> str:
    """Return a question that names the known model nearest to `name`, with a space before it; empty if none is near.

    The owner may be left out: ``esmfold_v1`` is near ``facebook/esmfold_v1``.
    """
    if name in KNOWN_MODELS:
        return ""
    if "/" in name:
        return did_you_mean(name, KNOWN_MODELS)
    by_short_name = {known.rpartition("/")[2]: known for known in KNOWN_MODELS}
    near = nearest(name, by_short_name)
    return f" Did you mean {by_short_name[near]}?" if near else ""
