"""TextSpan (Gandelsman et al. 2024, Algorithm 1): the texts that span what a head contributes.

The algorithm takes the contributions C of a head to N pictures [N, d] and M texts, and picks again and again
the text along which C varies most, and removes its direction from C and from all texts:

    V = the first right singular vectors of C, not centred;   R = texts V V^T;   C = C - mean C
    pick  j = argmax_j of std(C r_j);  u = r_j / |r_j|;  C = C - C u u^T;  R = R - R u u^T

All that it asks of C are its mean and second moment, which do not grow with N (`vitpeel.clip.moments`), and
nothing happens outside the span of V, which for a head of 64 has at most 67 dimensions. So here R are
coordinates in the basis V, [M, k], and std(C r)^2 = r^T S r with S the covariance in it, [k, k]. C itself
need not be reduced: what is left of R is orthogonal to all u already. The picks are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from vitpeel.clip.moments import HeadMoments, Moments
from vitpeel.errors import VitpeelError

# A direction counts where its singular value is at least a millionth of the largest: what float32 resolves.
_RESOLVED = 1e-6
# Variances that differ by less are a tie; float64 would decide it by rounding.
_TIE = 1e-9
# Digits of a share that the order of the pictures, in shards or not, leaves alone.
_DIGITS = 8


@dataclass(frozen=True)
class Pick:
    """A text, by its place in the list, and the share of the head's variance that it explains.

    The variance is the trace of the covariance; a pick's share leaves out what picks before it explain, so
    shares add up to at most one.
    """

    text: int
    share: float


def textspan(moments: HeadMoments, texts: Tensor, picks: int, rank: int | None = None) -> list[Pick]:
    """The texts of one head, the first explains most.

    texts: unit rows, [M, embedding]; picks: how many texts; rank: of the span, at most the numerical rank of
    the contributions, which is the default. The authors use 80, but a head of 64 has no more than 67: their
    other directions are rounding, and all but the first picks change when the pictures are put into another
    order (benchmarks/textspan.py). Here a rank beyond the numerical one is that one.

    Of texts that are equally good the first in the list is picked. There are fewer picks than asked for where
    no text is left along which the contributions vary: the texts' span, or the head's, is exhausted.
    """
    basis = span(moments, rank)
    mean = moments.mean
    covariance = moments.second - torch.outer(mean, mean)
    total = float(covariance.trace())
    within = basis.T @ covariance @ basis
    rows = texts.to(basis) @ basis
    # below it a variance is rounding; above it a text has a length to divide by
    longest = texts.double().square().sum(1).max() if len(texts) else 0.0
    floor = _RESOLVED**2 * float(moments.second.trace()) * float(longest)
    found: list[Pick] = []
    while len(found) < min(picks, len(texts)):
        variances = ((rows @ within) * rows).sum(1)
        best = variances.max()
        if best <= floor:
            break
        pick = int((variances >= best * (1 - _TIE)).nonzero()[0])
        unit = rows[pick] / rows[pick].norm()
        found.append(Pick(pick, float(unit @ within @ unit) / total))
        rows = rows - torch.outer(rows @ unit, unit)
    return found


def span(moments: HeadMoments, rank: int | None = None) -> Tensor:
    """An orthonormal basis of what the contributions span, the strongest direction first.

    rank: at most so many directions; None: all of the numerical rank, whose singular values are at least
    1e-6 of the largest. Returned: [embedding, k], float64.
    """
    # the second moment is Q (R S R^T) Q^T, and R S R^T is r x r
    q, r = torch.linalg.qr(moments.through)
    values, vectors = torch.linalg.eigh(r @ (moments.products / moments.pictures) @ r.T)
    values, vectors = values.flip(0), vectors.flip(1)
    resolved = int((values > _RESOLVED**2 * values[0]).sum())
    basis: Tensor = q @ vectors[:, : resolved if rank is None else min(rank, resolved)]
    return basis


def table(
    model: str,
    moments: Moments,
    texts: Sequence[str],
    embeddings: Tensor,
    picks: int,
    rank: int | None = None,
) -> pd.DataFrame:
    """The texts of every head: model, layer, head, rank (from 1), text, share (`tables.HEAD_TEXTS`).

    model: its name; embeddings: of the texts, unit rows [M, embedding]; rank: as for `textspan`. A head of
    which fewer texts were found has fewer rows. Raises VitpeelError where texts and embeddings are not
    equally many.
    """
    if len(texts) != len(embeddings):
        raise VitpeelError(f"clip.descriptions: {len(texts)} texts, but {len(embeddings)} embeddings of them")
    rows = [
        (model, layer, head, place, texts[pick.text], round(pick.share, _DIGITS))
        for layer in moments.layers
        for head in range(moments.total.shape[1])
        for place, pick in enumerate(textspan(moments.head(layer, head), embeddings, picks, rank), 1)
    ]
    found = pd.DataFrame(rows, columns=["model", "layer", "head", "rank", "text", "share"])
    return found.astype({"layer": "int16", "head": "int16", "rank": "int16"})
