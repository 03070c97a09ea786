"""BLIP-2 (Li et al. 2023) and InstructBLIP (Dai et al. 2023) with a T5, from a folder of `save_pretrained`.

The two are built alike; what differs is in `FAMILIES`. Only InstructBLIP's Q-Former reads the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from vitpeel.captioner import Captioner
from vitpeel.errors import InputError
from vitpeel.models import Device, Kind, Model, Precision, Readout, room
from vitpeel.models.checkpoint import FAMILIES, family_of, read_config, read_model, read_processor
from vitpeel.models.t5 import t5_of
from vitpeel.trunk import Block, Linear, Norm, Trunk


def load(
    kind: Kind, checkpoint: Path, *, prompt: str, dtype: Precision, device: Device, readout: Readout
) -> Model:
    """The parts of a checkpoint folder; see `vitpeel.models.load`."""
    place = room.place_of(device)
    room.check(checkpoint, dtype, place)
    model = read_model(FAMILIES[kind], checkpoint, dtype).to(place)
    processor = read_processor(FAMILIES[kind], checkpoint)
    trunk = trunk_of(model.vision_model)
    pictures = _pictures(processor, model.config)

    def preprocess(images: Sequence[Image.Image]) -> Tensor:
        pixels: Tensor = pictures(images=list(images), return_tensors="pt")["pixel_values"]
        return pixels.to(place, trunk.positions.dtype)

    side = model.config.vision_config.image_size // model.config.vision_config.patch_size
    return Model(
        trunk=trunk,
        captioner=captioner_of(
            model, processor, prompt, trunk.readout if readout == "post_layernorm" else _as_it_is
        ),
        preprocess=preprocess,
        preprocessing=_settings(pictures),
        grid=(side, side),
    )


def preprocessing(kind: Kind, checkpoint: Path) -> str:
    """`Model.preprocessing` of a checkpoint folder, without its weights."""
    family = FAMILIES[kind]
    return _settings(_pictures(read_processor(family, checkpoint), read_config(family, checkpoint)))


def trunk_of(vision: Any) -> Trunk:
    """Map a vision model of either kind onto the trunk; a parameter without a place is refused."""
    config = vision.config
    left = dict(vision.named_parameters())

    def linear(name: str) -> Linear:
        return Linear(left.pop(f"{name}.weight"), left.pop(f"{name}.bias", None))

    def norm(name: str) -> Norm:
        return Norm(left.pop(f"{name}.weight"), left.pop(f"{name}.bias"), config.layer_norm_eps)

    def block(name: str) -> Block:
        return Block(
            norm1=norm(f"{name}.layer_norm1"),
            qkv=linear(f"{name}.self_attn.qkv"),
            out=linear(f"{name}.self_attn.projection"),
            norm2=norm(f"{name}.layer_norm2"),
            up=linear(f"{name}.mlp.fc1"),
            down=linear(f"{name}.mlp.fc2"),
        )

    trunk = Trunk(
        patches=linear("embeddings.patch_embedding"),
        cls=left.pop("embeddings.class_embedding")[0, 0],
        positions=left.pop("embeddings.position_embedding")[0],
        blocks=tuple(block(f"encoder.layers.{layer}") for layer in range(config.num_hidden_layers)),
        post=norm("post_layernorm"),
        heads=config.num_attention_heads,
        activation=vision.encoder.layers[0].mlp.activation_fn,
    )
    if left:
        raise InputError(f"vision model: no place in the trunk for {', '.join(left)}; is this BLIP-2's?")
    return trunk


@dataclass(frozen=True)
class Queries:
    """What the language model is told of a picture.

    words: the prompt as the Q-Former reads it, [1, words]; None: it reads none.
    """

    qformer: Any
    tokens: Tensor  # [1, q, width of the Q-Former]
    words: Tensor | None
    projection: Any

    def read(self, seen: Tensor) -> Tensor:
        """The Q-Former's output.  [n, tokens, width] -> [n, q, width of the Q-Former]."""
        precision = self.projection.weight.dtype
        prompt = {} if self.words is None else {"input_ids": self.words.expand(len(seen), -1)}
        out: Tensor = self.qformer(
            **prompt,
            query_embeds=self.tokens.expand(len(seen), -1, -1).to(precision),
            encoder_hidden_states=seen.to(precision),
        ).last_hidden_state
        return out[:, : self.tokens.shape[1]]

    def __call__(self, seen: Tensor) -> Tensor:
        """The same, projected.  [n, tokens, width] -> [n, q, d_model]."""
        projected: Tensor = self.projection(self.read(seen))
        return projected


def captioner_of(model: Any, processor: Any, prompt: str, readout: Callable[[Tensor], Tensor]) -> Captioner:
    """Q-Former, projection and T5 of a checkpoint; the prompt goes where LAVIS gives it."""
    place = model.query_tokens.device
    blank = Image.new("RGB", (8, 8))
    text = processor(images=blank, text=prompt, return_tensors="pt").to(place)
    image = text["input_ids"][0] == model.config.image_token_id
    # with no such tokens in the prompt transformers captions nothing in particular, without a word
    slots, wanted = int(image.sum()), model.config.num_query_tokens
    if slots != wanted:
        raise InputError(
            f"processor: {slots} image tokens in the prompt, but the model has {wanted} queries; "
            f"set num_query_tokens to {wanted} in processor_config.json"
        )
    family = family_of(model.config)
    words = text["qformer_input_ids"] if family is not None and family.prompted else None

    def speak(words: Iterable[int]) -> str:
        caption: str = processor.tokenizer.decode(list(words), skip_special_tokens=True)
        return caption.strip()

    return Captioner(
        readout=readout,
        queries=Queries(model.qformer, model.query_tokens, words, model.language_projection),
        prompt=model.get_input_embeddings()(text["input_ids"])[0],
        image=image,
        t5=t5_of(model.language_model),
        speak=speak,
    )


def _as_it_is(z: Tensor) -> Tensor:
    return z


def _pictures(processor: Any, config: Any) -> BlipImageProcessorPil:
    """The picture processor, bit-exact with LAVIS, at the size the model takes, whatever is stored."""
    size = {"height": config.vision_config.image_size, "width": config.vision_config.image_size}
    return BlipImageProcessorPil(**{**processor.image_processor.to_dict(), "size": size})


def _settings(pictures: BlipImageProcessorPil) -> str:
    return json.dumps(pictures.to_dict(), sort_keys=True, default=str)
