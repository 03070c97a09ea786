"""CIDEr, BLEU-4, ROUGE-L and METEOR of every caption against what people wrote (section 4.3, Figure 3).

The numbers are pycocoevalcap's. A caption that several layers share is scored once a picture. An empty
caption, or one of punctuation only, scores 0.

- `cider`, `rougeL`, `meteor`: a layer's figure is the mean over pictures. CIDEr weighs words by how rare
  they are in the references of all the pictures scored together, so one picture's value depends on the other
  pictures' references (never on other captions), and with a single picture every CIDEr is 0. The figure
  that METEOR's program gives for a whole corpus pools its counts over pictures, and is not used.
- `bleu4`: one picture's value is sentence BLEU-4; a layer's figure is corpus BLEU-4, which is no mean of
  those. The counts it is made of are therefore rows of their own (`bleu.COUNTS`), which `bootstrap` adds up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from vitpeel.errors import VitpeelError
from vitpeel.scores import bleu, meteor, ptb

log = logging.getLogger(__name__)

KEYS = ["variant", "layer", "head", "image_id"]

Pair = tuple[str, str]  # image_id, tokenised caption
References = dict[str, list[str]]  # image_id -> tokenised references


def score(
    captions: pd.DataFrame,
    references: Mapping[str, Sequence[str]],
    metrics: Sequence[str] = ("cider", "bleu4", "rougeL"),
) -> pd.DataFrame:
    """Return a `scores` table: a row for every caption of a picture with references, and every metric.

    captions: a `captions` table (image_id, variant, layer, head, caption). references: image_id ->
    sentences; a picture without any is left out, and logged. No references at all: an empty table, and a
    warning. Raises VitpeelError for an unknown metric.
    """
    unknown = [metric for metric in metrics if metric not in _METRICS]
    if unknown:
        raise VitpeelError(f"{unknown[0]}: unknown metric. Allowed: {', '.join(_METRICS)}.")
    written = {image: [text for text in texts if text.strip()] for image, texts in references.items()}
    pictures = sorted(set(captions["image_id"]))
    scored = [image for image in pictures if written.get(image)]
    _report_left_out(len(pictures), len(scored))
    rows = captions.loc[captions["image_id"].isin(scored), [*KEYS, "caption"]]
    if not scored or not metrics:
        return _tidy(rows, {})
    tokens = ptb.tokenize([*rows["caption"], *(text for image in scored for text in written[image])])
    corpus = {image: [tokens[text] for text in written[image]] for image in scored}
    pairs = list(zip(rows["image_id"], rows["caption"].map(tokens), strict=True))
    distinct = sorted(set(pairs))
    values = {}
    for metric in metrics:
        for name, found in _METRICS[metric](distinct, corpus).items():
            by_pair = dict(zip(distinct, found, strict=True))
            values[name] = [by_pair[pair] for pair in pairs]
    return _tidy(rows, values)


def _report_left_out(pictures: int, scored: int) -> None:
    if not scored:
        log.warning("none of the %d pictures has a reference: scores that need them are left out", pictures)
    elif scored < pictures:
        log.warning("%d of %d pictures have no reference and are not scored", pictures - scored, pictures)
    if scored == 1:
        log.warning("CIDEr is 0 for a single picture: it weighs words by how many pictures share them")


def _tidy(rows: pd.DataFrame, values: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    wide = rows[KEYS].assign(layer=rows["layer"].astype("int16"), head=rows["head"].astype("Int16"), **values)
    long = wide.melt(KEYS, var_name="metric").astype({"metric": "str", "value": "float64"})
    long = long.sort_values([*KEYS, "metric"], ignore_index=True)
    return long[["image_id", "variant", "layer", "head", "metric", "value"]]


def _cider(pairs: Sequence[Pair], corpus: References) -> dict[str, list[float]]:
    """Score in rounds, the n-th distinct caption of every picture, so that each sees the whole corpus."""
    candidates: dict[str, list[str]] = {image: [] for image in corpus}
    for image, caption in pairs:
        candidates[image].append(caption)
    found: dict[Pair, float] = {}
    for turn in range(max(map(len, candidates.values()))):
        hypotheses = {image: own[turn : turn + 1] or [""] for image, own in candidates.items()}
        _, values = Cider().compute_score(corpus, hypotheses)
        turns = ((image, hypotheses[image][0]) for image in corpus)
        found |= dict(zip(turns, map(float, values), strict=True))
    return {"cider": [found[pair] for pair in pairs]}


def _bleu(pairs: Sequence[Pair], corpus: References) -> dict[str, list[float]]:
    scorer = BleuScorer(n=4)
    for image, caption in pairs:
        scorer += (caption, corpus[image])
    _, sentence = scorer.compute_score(option="closest")
    counts = [
        (*test["correct"], *test["guess"], _closest(test["reflen"], test["testlen"])) for test in scorer.ctest
    ]
    columns = np.array(counts, dtype=float).T.tolist()
    return {"bleu4": sentence[3]} | dict(zip(bleu.COUNTS, columns, strict=True))


def _closest(lengths: Sequence[int], length: int) -> int:
    return min((abs(other - length), other) for other in lengths)[1]


def _rouge(pairs: Sequence[Pair], corpus: References) -> dict[str, list[float]]:
    rouge = Rouge()
    return {
        "rougeL": [rouge.calc_score([caption], corpus[image]) if caption else 0.0 for image, caption in pairs]
    }


def _meteor(pairs: Sequence[Pair], corpus: References) -> dict[str, list[float]]:
    return {"meteor": meteor.score(pairs, corpus)}


_METRICS: dict[str, Callable[[Sequence[Pair], References], dict[str, list[float]]]] = {
    "cider": _cider,
    "bleu4": _bleu,
    "rougeL": _rouge,
    "meteor": _meteor,
}
