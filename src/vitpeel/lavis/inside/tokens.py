"""The checkpoint's tokenizers as LAVIS's libraries read them: from spiece.model and vocab.txt.

They cannot read today's tokenizer.json. A checkpoint that has nothing else gets the older files made from it.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from transformers import BertTokenizer, T5TokenizerFast
from transformers.utils import sentencepiece_model_pb2

_UNIGRAM, _NORMAL, _UNKNOWN, _CONTROL = 1, 1, 2, 3  # sentencepiece's numbers


def language(checkpoint: Path, folder: Path) -> Any:
    """The T5 tokenizer, LAVIS's class.  folder: for files that are made."""
    stored, alone = checkpoint / "spiece.model", folder / "language"
    alone.mkdir()  # beside a tokenizer.json it would be passed over
    if stored.is_file():
        shutil.copyfile(stored, alone / "spiece.model")
        return T5TokenizerFast.from_pretrained(str(alone))
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    (alone / "spiece.model").write_bytes(_sentencepiece(tokenizer))
    return T5TokenizerFast.from_pretrained(str(alone), extra_ids=0)


def qformer(checkpoint: Path, folder: Path) -> Any:
    """The Q-Former's tokenizer, BERT's, as LAVIS sets it up.  folder: for files that are made."""
    stored = checkpoint / "qformer_tokenizer/vocab.txt"
    if not stored.is_file():
        words = json.loads(stored.with_name("tokenizer.json").read_text())["model"]["vocab"]
        stored = folder / "vocab.txt"
        stored.write_text("".join(f"{word}\n" for word in sorted(words, key=words.__getitem__)))
    return BertTokenizer(str(stored), truncation_side="left")


def _sentencepiece(tokenizer: dict[str, Any]) -> bytes:
    """The same pieces, scores and normalisation as a sentencepiece model."""
    made = sentencepiece_model_pb2.ModelProto()
    unknown = tokenizer["model"]["unk_id"]
    special = {entry["id"] for entry in tokenizer["added_tokens"] if entry["special"]}
    for number, (text, score) in enumerate(tokenizer["model"]["vocab"]):
        control = _CONTROL if number in special else _NORMAL
        made.pieces.add(piece=text, score=score, type=_UNKNOWN if number == unknown else control)
    made.trainer_spec.model_type = _UNIGRAM
    made.trainer_spec.unk_id = unknown
    charsmap = _charsmap(tokenizer.get("normalizer"))
    if charsmap is not None:
        made.normalizer_spec.precompiled_charsmap = charsmap
    serialised: bytes = made.SerializeToString()
    return serialised


def _charsmap(normalizer: dict[str, Any] | None) -> bytes | None:
    for part in (normalizer or {}).get("normalizers", [normalizer or {}]):
        if part.get("type") == "Precompiled" and part.get("precompiled_charsmap"):
            return base64.b64decode(part["precompiled_charsmap"])
    return None
