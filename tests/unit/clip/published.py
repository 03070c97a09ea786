"""TextSpan as it is published, written down plainly: what the module from moments must pick, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def transcription(data: Floats, texts: Floats, picks: int, rank: int) -> tuple[list[int], list[float]]:
    """Algorithm 1 on the data themselves, as the authors' code runs it; and the variance each pick takes."""
    _, _, vh = np.linalg.svd(data, full_matrices=False)
    vh = vh[:rank]
    texts = texts @ vh.T @ vh
    data = data - data.mean(axis=0)
    whole, found, shares = data.var(axis=0).sum(), [], []
    for _ in range(picks):
        top = int(np.argmax((data @ texts.T).std(axis=0)))
        direction = texts[top] / (texts[top] @ texts[top])
        before = data.var(axis=0).sum()
        data = data - np.outer(data @ texts[top], direction)
        texts = texts - np.outer(texts @ texts[top], direction)
        found.append(top)
        shares.append((before - data.var(axis=0).sum()) / whole)
    return found, shares


def unit(rows: Floats) -> Floats:
    scaled: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled
