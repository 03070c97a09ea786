"""Random CLIPs of open_clip's own classes, small or of a published shape, every parameter drawn.

open_clip's initial values hide mistakes: norms are the identity and most biases zero. Here no norm is, and
the stream is large enough for attention, MLP and input to weigh about the same.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import CLIP, CustomTextCLIP, SimpleTokenizer
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from vitpeel.models import openclip
from vitpeel.models.openclip import Clip

_WORDS = "a red green blue dog cat fish car house tree photo of on the in snow"
WORDS = _WORDS.split()
WEIGHTS = "open_clip_model.safetensors"
BLOCKS, HEADS, HEAD, TOKENS, EMBEDDING = 3, 6, 8, 17, 40
SMALL: dict[str, Any] = {
    "embed_dim": EMBEDDING,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 32,
        "layers": BLOCKS,
        "width": HEADS * HEAD,
        "head_width": HEAD,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 12,
        "vocab_size": len(WORDS) + 3,
        "hf_tokenizer_name": "words",
        "width": 32,
        "heads": 4,
        "layers": 2,
    },
}


def config(**vision: Any) -> dict[str, Any]:
    """`SMALL` with other values for some of its vision_cfg."""
    changed = deepcopy(SMALL)
    changed["vision_cfg"] |= vision
    return changed


def model(settings: dict[str, Any], seed: int = 0) -> Any:
    """A model in memory: drawn numbers without open_clip's own initial values, which take their time."""
    settings = deepcopy(settings)
    kind = CustomTextCLIP if settings.pop("custom_text", False) else CLIP
    with torch.device("meta"):
        made: Any = kind(**settings)
    made = made.to_empty(device="cpu").eval().requires_grad_(False)
    for name, mask in made.named_buffers():
        assert name.endswith("attn_mask")
        mask.copy_(torch.full_like(mask, -torch.inf).triu(1))
    # billions of numbers are not drawn: each parameter is a stretch of the same few million
    pool = torch.randn(4_000_037, generator=torch.Generator().manual_seed(seed))
    for number, (name, value) in enumerate(made.named_parameters()):
        start = 7919 * number % 1_000_003
        rest = pool[start:].repeat(-(-value.numel() // (len(pool) - start)))
        draw = rest[: value.numel()].view(value.shape)
        if ".ln_" in f".{name}":
            value.copy_(0.3 * draw + (0.0 if name.endswith("bias") else 1.0))
        elif name.endswith(("proj", "text_projection")):  # used as x @ proj
            value.copy_(draw * len(value) ** -0.5)
        elif name.endswith(("embedding", "embedding.weight")):
            value.copy_(draw)
        elif value.dim() > 1:
            value.copy_(1.5 * draw * value[0].numel() ** -0.5)
        else:
            value.copy_(0.3 * draw)
    return made


def clip(settings: dict[str, Any] = SMALL, seed: int = 0) -> tuple[Any, Clip]:
    """A model of open_clip and its parts, the parameters shared; texts with CLIP's own words."""
    made = model(settings, seed)
    pictures = PreprocessCfg(size=settings["vision_cfg"]["image_size"])
    return made, openclip.clip_of(made, SimpleTokenizer(), pictures)


def save(folder: Path, settings: dict[str, Any] = SMALL, weights: str = WEIGHTS, **preprocess: Any) -> Any:
    """Write a checkpoint folder in the layout of the hub, tokenizer included, and return its model."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {"model_cfg": settings, "preprocess_cfg": preprocess}
    (folder / openclip.CONFIG).write_text(json.dumps(written))
    made = model(settings)
    save_file({name: value.contiguous() for name, value in made.state_dict().items()}, folder / weights)
    tokenizer().save_pretrained(folder)
    return made


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words; the end has the highest number, as open_clip's pooling of texts wants it."""
    words = {word: number for number, word in enumerate(["<pad>", "<unk>", *WORDS, "<eos>"])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", words["<eos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )


@cache
def pixels(count: int, size: int = 32, seed: int = 0) -> Tensor:
    """Smooth random pixels, already prepared: [count, 3, size, size]."""
    coarse = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")


def photos(*sizes: tuple[int, int]) -> list[Image.Image]:
    """Noise, one picture for each (width, height)."""
    noise = np.random.default_rng(0)
    return [
        Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in sizes
    ]
