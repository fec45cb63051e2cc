from __future__ import annotations

import pytest

from lowmem_fold.system.model_names import KNOWN_MODELS, model_suggestion
from lowmem_fold.system.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("word", "meant"), [("demmo", "demo"), ("FLOD", "fold"), ("int5", "int8"), ("zzz", None)], ids=str
)
def test_the_nearest_word_is_named(word: str, meant: str | None) -> None:
    said = did_you_mean(word, ["demo", "fold", "int8"])
    assert said == (f" Did you mean {meant}?" if meant else "")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("demmo", "demo"),
        ("Demo", "demo"),
        ("esmfold_v1", "facebook/esmfold_v1"),
        ("ESMFold", "facebook/esmfold_v1"),
        ("facebook/esmfold_v2", "facebook/esmfold_v1"),
        ("esm2_t33_650M", "facebook/esm2_t33_650M_UR50D"),
        ("somebody/else", None),
        *((name, None) for name in KNOWN_MODELS[:2]),
    ],
    ids=str,
)
def test_the_nearest_model_is_named(name: str, meant: str | None) -> None:
    assert model_suggestion(name) == (f" Did you mean {meant}?" if meant else "")
