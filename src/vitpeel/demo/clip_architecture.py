"""The demo CLIPs before training: open_clip's class at two sizes, a tokenizer of words, first weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from vitpeel.demo.clip_pictures import IMAGE_SIZE
from vitpeel.demo.clip_words import vocabulary

DEPTH = 12  # blocks of the vision tower, as in the published B models
CONTEXT = 28  # tokens of a text; the longest caption has 26 words
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Size:
    """What the two models differ in."""

    name: str
    patch: int  # pixels a side
    width: int
    heads: int
    embedding: int


SMALL = Size("clip-small", patch=16, width=96, heads=6, embedding=64)
LARGE = Size("clip-large", patch=8, width=128, heads=8, embedding=96)
SIZES = {size.name: size for size in (SMALL, LARGE)}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer of whole words: lower case, no punctuation, <unk> for a word it does not know.

    <eos> has the highest number, because open_clip reads a text at the token with the highest.
    """
    words = {word: k for k, word in enumerate(("<pad>", "<unk>", *vocabulary(), "<eos>"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(behavior="removed"), pre_tokenizers.WhitespaceSplit()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", words["<eos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )


@cache
def _tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


def tokens(texts: Sequence[str]) -> Tensor:
    """Return the tokens of some texts as open_clip's own tokenizer gives them: [texts, CONTEXT] int64."""
    ids: Tensor = _tokenizer()(
        list(texts), return_tensors="pt", max_length=CONTEXT, padding="max_length", truncation=True
    ).input_ids
    return ids


def build_config(size: Size, depth: int = DEPTH) -> dict[str, Any]:
    """Return open_clip's `model_cfg` of a model with `depth` vision blocks."""
    return {
        "embed_dim": size.embedding,
        "vision_cfg": {
            "image_size": IMAGE_SIZE,
            "patch_size": size.patch,
            "width": size.width,
            "layers": depth,
            "head_width": size.width // size.heads,
            "mlp_ratio": 2.0,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(vocabulary()) + 3,
            "width": 96,
            "heads": 4,
            "layers": 2,
            "mlp_ratio": 2.0,
            "hf_tokenizer_name": size.name,  # any: open_clip then reads the tokenizer beside the weights
        },
    }


@torch.no_grad()
def build_model(size: Size, depth: int = DEPTH) -> open_clip.CLIP:
    """Return an untrained model; seed torch first.

    Weights have standard deviation fan_in^-0.5, and the outputs of each residual branch are scaled by
    (2 x depth)^-0.5, so that the stream keeps its size.
    """
    model = open_clip.CLIP(**build_config(size, depth))
    visual = model.visual
    visual.conv1.weight.normal_(std=(3 * size.patch**2) ** -0.5)
    visual.class_embedding.normal_(std=0.5)
    visual.positional_embedding.normal_(std=0.5)
    for block in visual.transformer.resblocks:
        block.attn.in_proj_weight.normal_(std=size.width**-0.5)
        block.attn.in_proj_bias.zero_()
        block.mlp.c_fc.weight.normal_(std=size.width**-0.5)
        block.mlp.c_fc.bias.zero_()
        for linear in (block.attn.out_proj, block.mlp.c_proj):
            linear.weight.normal_(std=(2 * depth * linear.in_features) ** -0.5)
            linear.bias.zero_()
    return model


def _deal(block: Any, original: Any, mine: Tensor, heads: int, biased: bool) -> None:
    """Give a new block the original's norms, the heads of `mine` ([heads] bool) and their share of units."""
    width = original.attn.embed_dim
    state, old = block.state_dict(), original.state_dict()
    columns = mine.repeat_interleave(width // heads)  # of the output, and rows of Q, K and V
    units = mine.repeat(-(-len(old["mlp.c_fc.bias"]) // heads))[: len(old["mlp.c_fc.bias"])]
    for name, value in old.items():
        new = state[name]
        if name.startswith("ln_"):
            new.copy_(value)
        elif name.startswith("attn.in_proj"):
            new[columns.repeat(3)] = value[columns.repeat(3)]
        elif name.startswith("mlp.c_fc"):
            new[units] = value[units]
        elif name.endswith(".bias"):
            new.copy_(value if biased else torch.zeros_like(value))
        else:
            new.copy_(value * (columns if name.startswith("attn") else units))


@torch.no_grad()
def grow(model: open_clip.CLIP, size: Size, depth: int) -> open_clip.CLIP:
    """Return a model of `depth` vision blocks that computes nearly the same.

    Each block becomes several, and its heads and hidden units are dealt out among them at full strength; the
    heads and units that a new block did not get begin at random with no output.  So no two blocks are copies.
    """
    shallow = model.visual.transformer.resblocks
    times = depth // len(shallow)
    grown = build_model(size, depth)
    kept = {k: v for k, v in model.state_dict().items() if not k.startswith("visual.transformer.")}
    missing = grown.load_state_dict(kept, strict=False).missing_keys
    if any(not key.startswith("visual.transformer.") for key in missing):
        raise RuntimeError(f"the grown model lacks {missing}")
    for k, block in enumerate(grown.visual.transformer.resblocks):
        mine = torch.arange(size.heads) % times == k % times
        _deal(block, shallow[k // times], mine, size.heads, biased=k % times == 0)
    return grown


def save(model: open_clip.CLIP, size: Size, folder: Path) -> None:
    """Write the hub's layout: open_clip_config.json, open_clip_model.safetensors (fp16) and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    save_file(half, folder / "open_clip_model.safetensors")
    depth = len(model.visual.transformer.resblocks)
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": build_config(size, depth), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    build_tokenizer().save_pretrained(folder)
