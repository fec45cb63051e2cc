"""What stock transformers makes of masked residues. Tokens are put together by hand, as the authors of each say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForMaskedLM

from tests.backbones.models import ANTIBODY, BERT, CASES, ESM

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
#: Of the small models, those with a head.
MASKED = [case for case in ("esm2", "esm1", "esmc", "protbert", "antiberty") if case in CASES]
_VOCABULARIES = {"protbert": BERT, "antiberty": ANTIBODY}


@dataclass(frozen=True)
class Stock:
    """A stock model with its head, and its tokens."""

    model: torch.nn.Module
    tokens: Mapping[str, int]
    case: str

    def log_probabilities(self, sequence: str) -> np.ndarray:
        """(masked positions, 20): of `*` in a sequence that is run by itself, over the whole vocabulary."""
        start, end, mask = ("<cls>", "<eos>", "<mask>") if "<cls>" in self.tokens else ("[CLS]", "[SEP]", "[MASK]")
        if self.case == "protbert":
            sequence = re.sub("[UZOB]", "X", sequence)
        words = [start, *(mask if letter == "*" else letter for letter in sequence), end]
        with torch.no_grad():
            logits = self.model(torch.tensor([[self.tokens[word] for word in words]])).logits[0, 1:-1]
        found = logits.double().log_softmax(-1)[:, [self.tokens[letter] for letter in AMINO_ACIDS]]
        return found[[place for place, letter in enumerate(sequence) if letter == "*"]].numpy()


def stock_of(folder: Path, case: str) -> Stock:
    """Stock's model of a folder."""
    tokens = {token: number for number, token in enumerate(_VOCABULARIES.get(case, ESM))}
    return Stock(AutoModelForMaskedLM.from_pretrained(folder).eval(), tokens, case)
