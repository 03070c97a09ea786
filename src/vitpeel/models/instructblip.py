"""InstructBLIP with a T5 language model (Dai et al. 2023), from a folder written by `save_pretrained`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, InstructBlipForConditionalGeneration, InstructBlipProcessor
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.utils import logging

from vitpeel.captioner import Captioner
from vitpeel.errors import InputError
from vitpeel.models import Device, DType, Model, Readout
from vitpeel.models.t5 import t5_of
from vitpeel.trunk import Block, Linear, Norm, Trunk


def load(checkpoint: Path, *, prompt: str, dtype: DType, device: Device, readout: Readout) -> Model:
    """The parts of an InstructBLIP folder; see `vitpeel.models.load`."""
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    model = _read_model(checkpoint, getattr(torch, dtype)).to(place)
    processor = _read_processor(checkpoint)
    trunk = trunk_of(model.vision_model)
    size = {"height": model.config.vision_config.image_size, "width": model.config.vision_config.image_size}
    pictures = BlipImageProcessorPil(**{**processor.image_processor.to_dict(), "size": size})

    def preprocess(images: Sequence[Image.Image]) -> Tensor:
        pixels: Tensor = pictures(images=list(images), return_tensors="pt")["pixel_values"]
        return pixels.to(place, trunk.positions.dtype)

    patch = model.config.vision_config.patch_size
    return Model(
        trunk=trunk,
        captioner=captioner_of(
            model, processor, prompt, trunk.readout if readout == "post_layernorm" else _as_it_is
        ),
        preprocess=preprocess,
        preprocessing=json.dumps(pictures.to_dict(), sort_keys=True, default=str),
        grid=(size["height"] // patch, size["width"] // patch),
    )


def trunk_of(vision: Any) -> Trunk:
    """Map an `InstructBlipVisionModel` onto the trunk; a parameter without a place is refused."""
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
        raise InputError(f"vision model: no place in the trunk for {', '.join(left)}; is this InstructBLIP?")
    return trunk


def captioner_of(
    model: Any, processor: InstructBlipProcessor, prompt: str, readout: Callable[[Tensor], Tensor]
) -> Captioner:
    """Q-Former, projection and T5 of an InstructBLIP; Q-Former and T5 both get the prompt, as in LAVIS."""
    qformer, projection, query_tokens = model.qformer, model.language_projection, model.query_tokens
    place = query_tokens.device
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

    def queries(seen: Tensor) -> Tensor:
        words = text["qformer_input_ids"].expand(len(seen), -1)
        out = qformer(
            input_ids=words, query_embeds=query_tokens.expand(len(seen), -1, -1), encoder_hidden_states=seen
        ).last_hidden_state
        projected: Tensor = projection(out[:, : query_tokens.shape[1]])
        return projected

    def speak(words: Iterable[int]) -> str:
        caption: str = processor.tokenizer.decode(list(words), skip_special_tokens=True)
        return caption.strip()

    return Captioner(
        readout=readout,
        queries=queries,
        prompt=model.get_input_embeddings()(text["input_ids"])[0],
        image=image,
        t5=t5_of(model.language_model),
        speak=speak,
    )


def _as_it_is(z: Tensor) -> Tensor:
    return z


def _read_model(checkpoint: Path, dtype: torch.dtype) -> Any:
    """The checkpoint's model, every weight from its own safetensors files."""
    if not (checkpoint / "config.json").is_file():
        raise InputError(f"{checkpoint}: no config.json; name a folder written by save_pretrained")
    if not list(checkpoint.glob("*.safetensors")):
        pickled = ", ".join(sorted(path.name for path in checkpoint.glob("*.bin")))
        found = f"only {pickled}, which may run code when opened" if pickled else "no weights"
        raise InputError(f"{checkpoint}: {found}; put model.safetensors there (save_pretrained writes it)")
    try:
        config: Any = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
        if config.model_type != "instructblip" or config.text_config.model_type != "t5":
            raise InputError(f"{checkpoint}: a {config.model_type}, but InstructBLIP with a T5 is needed")
        with _quiet():
            loaded: Any = InstructBlipForConditionalGeneration.from_pretrained(
                checkpoint,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, by name
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = f"not readable as InstructBLIP: {error}"
        raise InputError(f"{checkpoint}: {reason}; copy the checkpoint again") from error
    model, report = loaded
    if report["mismatched_keys"]:
        name, found, wanted = min(report["mismatched_keys"])
        shapes = f"{name} is {tuple(found)} in the weights but {tuple(wanted)} by config.json"
        raise InputError(f"{checkpoint}: {shapes}; the two are not of one checkpoint, copy both again")
    if report["missing_keys"]:
        missing = f"{len(report['missing_keys'])} weights are missing, such as {min(report['missing_keys'])}"
        raise InputError(f"{checkpoint}: {missing}; copy the checkpoint again")
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars in the logs, and no advice about T5's tied head, which is read as it is."""
    messages: Any = logging
    bars, level = messages.is_progress_bar_enabled(), messages.get_verbosity()
    messages.disable_progress_bar()
    messages.set_verbosity_error()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()


def _read_processor(checkpoint: Path) -> InstructBlipProcessor:
    """The checkpoint's tokenizers and picture settings; pictures go through PIL, bit-exact with LAVIS."""
    try:
        processor: InstructBlipProcessor = InstructBlipProcessor.from_pretrained(
            checkpoint, backend="pil", local_files_only=True
        )
    except (OSError, ValueError) as error:
        reason = f"no usable processor: {error}"
        raise InputError(f"{checkpoint}: {reason}; save the processor into the same folder") from error
    return processor
