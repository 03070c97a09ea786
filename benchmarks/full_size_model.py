"""A model of InstructBLIP-FlanT5-XL's shape with random weights, for full_size.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from vitpeel.captioner import Captioner
from vitpeel.models.instructblip import captioner_of, trunk_of
from vitpeel.trunk import Trunk

PROMPT_WORDS = 6
T5_VOCABULARY, BERT_VOCABULARY, QUERIES = 32_128, 30_523, 32


@dataclass(frozen=True)
class Shape:
    """How many blocks each part has; the widths are always the real ones."""

    blocks: int = 39
    qformer: int = 12
    language: int = 24  # of the encoder and of the decoder


SMALLEST = Shape(blocks=3, qformer=2, language=2)


def config(shape: Shape) -> Any:
    """The published checkpoint's configuration, with so many blocks."""
    from transformers import InstructBlipConfig

    return InstructBlipConfig(
        vision_config={
            "hidden_size": 1408,
            "intermediate_size": 6144,
            "num_hidden_layers": shape.blocks,
            "num_attention_heads": 16,
            "image_size": 224,
            "patch_size": 14,
        },
        qformer_config={
            "vocab_size": BERT_VOCABULARY,
            "hidden_size": 768,
            "num_hidden_layers": shape.qformer,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "encoder_hidden_size": 1408,
        },
        text_config={
            "model_type": "t5",
            "vocab_size": T5_VOCABULARY,
            "d_model": 2048,
            "d_kv": 64,
            "num_heads": 32,
            "d_ff": 5120,
            "num_layers": shape.language,
            "num_decoder_layers": shape.language,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "decoder_start_token_id": 0,
        },
        num_query_tokens=QUERIES,
        image_token_index=T5_VOCABULARY - 1,
    )


def build(
    shape: Shape, device: torch.device, vision: torch.dtype, language: torch.dtype
) -> tuple[Trunk, Captioner]:
    """Trunk and captioner of random weights, made on the device in their precision."""
    from transformers import InstructBlipForConditionalGeneration

    with torch.device("meta"):
        model: Any = InstructBlipForConditionalGeneration(config(shape))
    model = model.eval().requires_grad_(False)
    model.vision_model.to(vision)
    for part in (model.qformer, model.language_projection):
        part.to(torch.float32 if device.type == "cpu" else vision)
    model.language_model.to(language)
    model.query_tokens.data = model.query_tokens.data.to(model.language_projection.weight.dtype)
    model.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    for name, value in model.named_parameters():
        if "norm" in name.lower():
            value.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            value.normal_(0.0, value[0].numel() ** -0.5 if value.dim() > 1 else 0.02, generator=generator)
    for name, buffer in model.named_buffers():
        if "position_ids" in name:
            buffer.copy_(torch.arange(buffer.shape[-1], device=device).expand_as(buffer))
    captioner = captioner_of(
        model, processor(), " ".join(["word"] * PROMPT_WORDS), trunk_of(model.vision_model).readout
    )
    return trunk_of(model.vision_model), captioner


def processor() -> Any:
    """Whole-word tokenizers of the real sizes."""
    from transformers import BertTokenizer, InstructBlipProcessor, T5Tokenizer
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁word", -1.0)]
    pieces += [(f"▁w{number}", -2.0) for number in range(T5_VOCABULARY - 1 - len(pieces))]
    words = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "word"])}
    return InstructBlipProcessor(
        BlipImageProcessorPil(size={"height": 224, "width": 224}),
        T5Tokenizer(vocab=pieces, extra_ids=0),
        BertTokenizer(vocab=words),
        num_query_tokens=QUERIES,
    )


def language_operations(captioner: Captioner, rows: int, words: int, beams: int) -> float:
    """Floating-point operations that the language model's matrices need for so many captions.

    Two for every weight that a token passes; attention's own products, small beside them, are left out.
    """
    t5, source = captioner.t5, len(captioner.prompt)
    encoder = sum(_weights(b.self_attention, b.feed_forward) for b in t5.encoder)
    decoder = sum(_weights(b.self_attention, b.cross_attention, b.feed_forward) for b in t5.decoder)
    crossed = sum(b.cross_key_value.numel() for b in t5.decoder)
    a_row = source * (encoder + crossed) + words * beams * (decoder + t5.head.numel())
    return 2.0 * rows * a_row


def _weights(*layers: Any) -> int:
    return sum(value.numel() for layer in layers for value in vars(layer).values() if value.dim() == 2)
