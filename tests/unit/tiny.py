"""Random InstructBLIP and BLIP-2 checkpoints, small enough for a test and awkward enough to find faults.

transformers' own initial values hide mistakes: the vision weights are 1e-10, the query tokens zero and the
T5 head tied. Here every parameter is drawn, the T5 head is its own, and the end-of-sentence row is set so
that captions end at different lengths.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InstructBlipVisionModel,
    T5Tokenizer,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

DEMO_CAPTIONER = Path(__file__).parents[2] / "resources/demo/captioner"

_WORDS = """
a an the on in at of with under near behind two three large small old young red green blue white
black giraffe zebra horse dog cat bear mouse bird duck owl fish whale crab snake frog turtle rabbit
sheep goat pig cow car bus train truck boat plane rocket bike tractor taxi apple banana lemon grape
peach cherry carrot corn pizza burger bread cheese cake cup spoon knife chair bed lamp clock book
key bell drum guitar violin trumpet ball kite mountain beach desert forest street kitchen ocean sky
snowy sandy animal vehicle fruit food instrument toy tool outdoors indoors picture photo describe
what is this thing things standing sitting flying floating and
"""
WORDS = _WORDS.split()


def processor(size: int, queries: int) -> InstructBlipProcessor:
    """Whole-word tokenizers for both text models and the PIL picture processor at size x size pixels."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [("▁" + word, -2.0) for word in WORDS]
    t5 = T5Tokenizer(vocab=pieces, extra_ids=0)
    bert = BertTokenizer(
        vocab={w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    )
    pictures = BlipImageProcessorPil(size={"height": size, "width": size})
    return InstructBlipProcessor(pictures, t5, bert, num_query_tokens=queries)


def blip2_processor(size: int, queries: int) -> Blip2Processor:
    """The same without the Q-Former's tokenizer."""
    parts = processor(size, queries)
    return Blip2Processor(parts.image_processor, parts.tokenizer, num_query_tokens=queries)


def config(
    *,
    blocks: int = 3,
    width: int = 32,
    heads: int = 4,
    mlp: int = 48,
    image: int = 32,
    patch: int = 8,
    gated: bool = True,
) -> InstructBlipConfig:
    """A small InstructBLIP with FLAN-T5's form, or, not gated, the first T5's (ReLU, tied head, scaled)."""
    words = len(WORDS)
    return InstructBlipConfig(
        vision_config={
            "hidden_size": width,
            "intermediate_size": mlp,
            "num_hidden_layers": blocks,
            "num_attention_heads": heads,
            "image_size": image,
            "patch_size": patch,
            "initializer_range": 0.02,
        },
        qformer_config={
            "vocab_size": 5 + words,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "encoder_hidden_size": width,
            "max_position_embeddings": 64,
        },
        text_config={
            "model_type": "t5",
            "vocab_size": 3 + words + 1,
            "d_model": 32,
            "d_kv": 8,
            "num_heads": 4,
            "d_ff": 48,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "feed_forward_proj": "gated-gelu" if gated else "relu",
            "tie_word_embeddings": not gated,
            "decoder_start_token_id": 0,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 12,
        },
        num_query_tokens=4,
        image_token_index=3 + words,
    )


def blip2_config(**geometry: Any) -> Blip2Config:
    """A BLIP-2 of the same form; its Q-Former has no words, and sees the picture in every other block."""
    parts = config(**geometry).to_dict()
    qformer = {k: v for k, v in parts["qformer_config"].items() if k not in ("model_type", "vocab_size")}
    return Blip2Config(
        vision_config={k: v for k, v in parts["vision_config"].items() if k != "model_type"},
        qformer_config={**qformer, "num_hidden_layers": 3, "cross_attention_frequency": 2},
        text_config=parts["text_config"],
        num_query_tokens=parts["num_query_tokens"],
        image_token_index=parts["image_token_index"],
    )


def model(settings: InstructBlipConfig | Blip2Config, seed: int = 0) -> Any:
    """Every parameter drawn from N(0, 1/fan_in), norms around one; FLAN-T5's head is its own."""
    blip2 = settings.model_type == "blip-2"
    kind = Blip2ForConditionalGeneration if blip2 else InstructBlipForConditionalGeneration
    made: Any = kind(settings).eval().requires_grad_(False)
    text = made.language_model
    if not text.config.scale_decoder_outputs:
        text.lm_head.weight = torch.nn.Parameter(torch.empty_like(text.shared.weight), requires_grad=False)
    generator = torch.Generator().manual_seed(seed)
    for name, value in made.named_parameters():
        draw = torch.randn(value.shape, generator=generator)
        if "norm" in name.lower():
            value.copy_(0.1 * draw + (0.0 if name.endswith("bias") else 1.0))
        elif value.dim() > 1:
            value.copy_(draw * value[0].numel() ** -0.5)
        else:
            value.copy_(0.1 * draw)
        if name.endswith(("query_tokens", "shared.weight", "class_embedding", "position_embedding")):
            value.copy_(draw)
        elif name.endswith("qkv.bias"):
            value[settings.vision_config.hidden_size : -settings.vision_config.hidden_size] = 0
    # random models say one word for ever: mix the words more, and give the end a few times the others' chance
    if text.config.scale_decoder_outputs:
        for name, value in text.named_parameters():
            if name.endswith(("o.weight", "wo.weight")):
                value.mul_(3.0)
        text.shared.weight[1].mul_(4.0)
    else:
        text.lm_head.weight.mul_(6.0)
        text.lm_head.weight[1].mul_(2.0)
    made.generation_config.update(eos_token_id=1, pad_token_id=0, decoder_start_token_id=0)
    text.generation_config.update(eos_token_id=1, pad_token_id=0, decoder_start_token_id=0)
    return made


def save(folder: Path, settings: InstructBlipConfig | Blip2Config, seed: int = 0) -> Path:
    """A checkpoint folder as `save_pretrained` leaves it, with its processor."""
    model(settings, seed).save_pretrained(folder)
    tools = blip2_processor if settings.model_type == "blip-2" else processor
    tools(settings.vision_config.image_size, settings.num_query_tokens).save_pretrained(folder)
    return folder


@cache
def pictures(count: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth random pixels, already preprocessed: [count, 3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")


PROMPT = "describe this picture"


def generate(checkpoint: Any, tools: Any, pixels: torch.Tensor, settings: Any, prompt: str = "") -> list[str]:
    """What the checkpoint's own `generate` says of each picture alone.  pixels: [n, 3, size, size]."""
    text = tools(images=Image.new("RGB", (8, 8)), text=prompt or PROMPT, return_tensors="pt")
    text.pop("pixel_values")
    captions = []
    for picture in pixels:
        words = checkpoint.generate(
            pixel_values=picture[None],
            **text,
            do_sample=False,
            num_beams=settings.beams,
            repetition_penalty=settings.repetition_penalty,
            length_penalty=settings.length_penalty,
            min_new_tokens=settings.min_new_tokens,
            max_new_tokens=settings.max_new_tokens,
        )
        captions.append(tools.batch_decode(words, skip_special_tokens=True)[0].strip())
    return captions


def vision(**geometry: int) -> InstructBlipVisionModel:
    """A random vision model; its qkv bias, like the checkpoints', is zero for the keys."""
    return model(config(**geometry)).vision_model


def real_geometry() -> InstructBlipVisionModel:
    """Two of InstructBLIP's blocks, on pictures of 2 x 2 patches."""
    return vision(blocks=2, width=1408, heads=16, mlp=6144, image=28, patch=14)


def demo_vision() -> InstructBlipVisionModel:
    """The vision model of the checkpoint that the project ships."""
    return (
        InstructBlipForConditionalGeneration.from_pretrained(DEMO_CAPTIONER, dtype=torch.float32)
        .eval()
        .vision_model
    )
