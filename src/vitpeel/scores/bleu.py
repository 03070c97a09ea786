"""Corpus BLEU-4 from counts that add up over pictures, so that it can be bootstrapped.

Papineni et al. 2002, with the reference length closest to the caption's and pycocoevalcap's smoothing of
zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ORDERS = (1, 2, 3, 4)
# per caption: n-grams also found in a reference, n-grams there are, length of the closest reference
COUNTS = (
    *(f"bleu4_matches{n}" for n in _ORDERS),
    *(f"bleu4_ngrams{n}" for n in _ORDERS),
    "bleu4_reference_length",
)
_TINY, _SMALL = 1e-15, 1e-9  # pycocoevalcap's: no division by zero, and zero matches give (nearly) zero


def corpus(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """BLEU-4 of summed counts. totals: [..., 9] in the order of `COUNTS`; returned: [...], 0 to 1."""
    matches, ngrams, reference = totals[..., :4], totals[..., 4:8], totals[..., 8]
    precision = np.prod((matches + _TINY) / (ngrams + _SMALL), axis=-1) ** (1 / 4)
    ratio = (ngrams[..., 0] + _TINY) / (reference + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return np.asarray(precision * brevity)
