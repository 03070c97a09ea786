"""A checkpoint of the BLIP-2 family, read from its folder: configuration, weights, processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
)
from transformers.utils import logging

from vitpeel.errors import InputError
from vitpeel.models import Kind, Precision


@dataclass(frozen=True)
class Family:
    """What tells the kinds apart.

    model_type: in config.json; prompted: whether the Q-Former reads the prompt too.
    """

    kind: Kind
    model_type: str
    title: str
    model: Any
    processor: Any
    prompted: bool


FAMILIES: dict[Kind, Family] = {
    family.kind: family
    for family in (
        Family(
            "instructblip",
            "instructblip",
            "InstructBLIP",
            InstructBlipForConditionalGeneration,
            InstructBlipProcessor,
            prompted=True,
        ),
        Family("blip2", "blip-2", "BLIP-2", Blip2ForConditionalGeneration, Blip2Processor, prompted=False),
    )
}


def family_of(config: Any) -> Family | None:
    """The family of a model with this configuration, None if it is of neither."""
    return next((one for one in FAMILIES.values() if one.model_type == config.model_type), None)


def read_config(family: Family, checkpoint: Path) -> Any:
    """The checkpoint's config.json; refused if it is of another kind or without a T5."""
    if not (checkpoint / "config.json").is_file():
        raise InputError(f"{checkpoint}: no config.json; name a folder written by save_pretrained")
    try:
        config: Any = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = f"not readable as {family.title}: {error}"
        raise InputError(f"{checkpoint}: {reason}; copy the checkpoint again") from error
    found = family_of(config)
    if found is None:
        raise InputError(f"{checkpoint}: a {config.model_type}, but {family.title} with a T5 is needed")
    if found != family:
        kinds = f"{found.title}, but model.kind is {family.kind}, {family.title}"
        raise InputError(f"{checkpoint}: {kinds}; write kind: {found.kind}, or name another checkpoint")
    if config.text_config.model_type != "t5":
        raise InputError(
            f"{checkpoint}: {family.title} with a {config.text_config.model_type}, but a T5 is needed"
        )
    return config


def read_model(family: Family, checkpoint: Path, precision: Precision) -> Any:
    """The checkpoint's model, every weight from its own safetensors files."""
    config = read_config(family, checkpoint)
    if not list(checkpoint.glob("*.safetensors")):
        pickled = ", ".join(sorted(path.name for path in checkpoint.glob("*.bin")))
        found = f"only {pickled}, which may run code when opened" if pickled else "no weights"
        raise InputError(f"{checkpoint}: {found}; put model.safetensors there (save_pretrained writes it)")
    try:
        with _quiet():
            loaded: Any = family.model.from_pretrained(
                checkpoint,
                config=config,
                dtype=torch.float32,  # it reads a checkpoint in one precision; the parts' follow
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, by name
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = f"not readable as {family.title}: {error}"
        raise InputError(f"{checkpoint}: {reason}; copy the checkpoint again") from error
    model, report = loaded
    if report["mismatched_keys"]:
        name, found, wanted = min(report["mismatched_keys"])
        shapes = f"{name} is {tuple(found)} in the weights but {tuple(wanted)} by config.json"
        raise InputError(f"{checkpoint}: {shapes}; the two are not of one checkpoint, copy both again")
    if report["missing_keys"]:
        missing = f"{len(report['missing_keys'])} weights are missing, such as {min(report['missing_keys'])}"
        raise InputError(f"{checkpoint}: {missing}; copy the checkpoint again")
    # as LAVIS: the matrices are halved, while norms and positions, and so the stream, stay in float32
    for module in model.vision_model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.to(getattr(torch, precision.vision))
    for part in (model.qformer, model.language_projection):
        part.to(getattr(torch, precision.qformer))
    model.language_model.to(getattr(torch, precision.language))
    return model.eval().requires_grad_(False)


def read_processor(family: Family, checkpoint: Path) -> Any:
    """The checkpoint's tokenizers and picture settings; pictures go through PIL, bit-exact with LAVIS."""
    try:
        return family.processor.from_pretrained(checkpoint, backend="pil", local_files_only=True)
    except (OSError, ValueError) as error:
        reason = f"no usable processor: {error}"
        raise InputError(f"{checkpoint}: {reason}; save the processor into the same folder") from error


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
