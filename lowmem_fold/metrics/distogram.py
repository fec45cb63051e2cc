"""How far a predicted distribution of distances is from another one."""

from __future__ import annotations

import numpy as np

from ..errors import InputError

__all__ = ["distogram_kl"]


def distogram_kl(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Kullback-Leibler divergence of a distogram from the one it should be, in nats: the mean over all residue pairs.

    sum_k r_k ln(r_k / p_k), with r and p the softmax over the bins of the reference's and the prediction's logits.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, L, bins)
        Logits of any float type.
    """
    predicted, reference = np.asarray(predicted), np.asarray(reference)
    if predicted.shape != reference.shape or predicted.ndim != 3 or not predicted.size:
        raise InputError(
            f"distograms of one shape (L, L, bins) are needed: that of the prediction is {predicted.shape}, that of "
            f"the reference {reference.shape}"
        )
    rows = [_row_kl(*logits) for logits in zip(predicted, reference, strict=True)]  # not all pairs in float64 at once
    if not np.isfinite(rows).all():
        raise InputError("a distogram holds a logit that is not finite")
    return float(np.mean(rows))


def _row_kl(predicted: np.ndarray, reference: np.ndarray) -> float:
    ours, theirs = _log_softmax(predicted), _log_softmax(reference)
    return float((np.exp(theirs) * (theirs - ours)).sum(axis=-1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # infinity less infinity: the NaN is refused above
        shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
