"""The demo captioner before training: InstructBLIP's classes at a small size, tokenizers, first weights."""

from __future__ import annotations

import copy

import torch
from torch import nn
from transformers import (
    BertTokenizer,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    T5Config,
    T5Tokenizer,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from vitpeel.demo.words import vocabulary

IMAGE_SIZE = 64  # pixels a side
PATCH_SIZE = 8
WIDTH = 96  # of every transformer in the captioner
HEADS = 8
DEPTH = 39  # blocks, as in InstructBLIP
QUERIES = 8


def build_processor() -> InstructBlipProcessor:
    """Build the processor: bicubic resize to 64 x 64, and one whole word a token on both sides."""
    words = vocabulary()
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer = T5Tokenizer(vocab=[*pieces, *((f"▁{word}", -1.0) for word in words)], extra_ids=0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    qformer_tokenizer = BertTokenizer(vocab={word: k for k, word in enumerate([*special, *words])})
    image_processor = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    return InstructBlipProcessor(image_processor, tokenizer, qformer_tokenizer, num_query_tokens=QUERIES)


def build_config(processor: InstructBlipProcessor, depth: int) -> InstructBlipConfig:
    """Return the configuration of a captioner with `depth` vision blocks."""
    text = T5Config(
        vocab_size=len(processor.tokenizer),
        d_model=WIDTH,
        d_kv=24,
        d_ff=2 * WIDTH,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=16,
        relative_attention_max_distance=32,
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    vision = InstructBlipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=depth,
        num_attention_heads=HEADS,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
    )
    qformer = InstructBlipQFormerConfig(
        vocab_size=len(processor.qformer_tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=32,
        cross_attention_frequency=1,
        encoder_hidden_size=WIDTH,
    )
    return InstructBlipConfig(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=processor.tokenizer.convert_tokens_to_ids(processor.image_token.content),
    )


@torch.no_grad()
def initialise(model: InstructBlipForConditionalGeneration) -> None:
    """Give every part outside T5 weights of standard deviation fan_in^-0.5, in place.

    The library's own defaults are meant for weights that are loaded afterwards (vision 1e-10, queries zero)
    and do not train.  The outputs of each residual branch are scaled by (2 x depth)^-0.5, so that the
    stream keeps its size.
    """
    depth = model.config.vision_config.num_hidden_layers
    for part in (model.vision_model, model.qformer, model.language_projection):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=module.in_features**-0.5)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(std=1.0)
    embeddings = model.vision_model.embeddings
    embeddings.patch_embedding.weight.normal_(std=(3 * PATCH_SIZE**2) ** -0.5)
    embeddings.patch_embedding.bias.zero_()
    embeddings.class_embedding.normal_(std=0.5)
    embeddings.position_embedding.normal_(std=0.5)
    model.query_tokens.normal_()
    model.language_model.lm_head.weight.normal_(std=WIDTH**-0.5)
    for layer in model.vision_model.encoder.layers:
        layer.self_attn.projection.weight.mul_((2 * depth) ** -0.5)
        layer.mlp.fc2.weight.mul_((2 * depth) ** -0.5)


def build_model(processor: InstructBlipProcessor, depth: int) -> InstructBlipForConditionalGeneration:
    """Return an untrained captioner with `depth` vision blocks; seed torch first."""
    model = InstructBlipForConditionalGeneration(build_config(processor, depth))
    initialise(model)
    return model


@torch.no_grad()
def grow(
    model: InstructBlipForConditionalGeneration, processor: InstructBlipProcessor, times: int
) -> InstructBlipForConditionalGeneration:
    """Return a captioner with `times` as many vision blocks that computes nearly the same.

    Each block becomes `times` copies whose residual branches are divided by `times`: the long update is
    taken in short steps, so that no copy is idle and neighbouring layers differ from the start.
    """
    shallow = model.vision_model.encoder.layers
    grown = InstructBlipForConditionalGeneration(build_config(processor, times * len(shallow)))
    kept = {k: v for k, v in model.state_dict().items() if "vision_model.encoder.layers." not in k}
    missing = grown.load_state_dict(kept, strict=False).missing_keys
    if any("vision_model.encoder.layers." not in key for key in missing):
        raise RuntimeError(f"the grown captioner lacks {missing}")
    layers = []
    for block in shallow:
        for _ in range(times):
            layer = copy.deepcopy(block)
            for linear in (layer.self_attn.projection, layer.mlp.fc2):
                linear.weight.div_(times)
                linear.bias.div_(times)
            layers.append(layer)
    grown.vision_model.encoder.layers = nn.ModuleList(layers)
    return grown
