"""How good the demo captioner is on pictures whose object-scene pairs training never showed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from transformers import InstructBlipProcessor

from vitpeel.demo.losses import Losses
from vitpeel.demo.words import objects_in


@dataclass(frozen=True)
class TestSet:
    """The unusual pictures with what they show."""

    pixels: Tensor  # [N, 3, 64, 64]
    captions: tuple[str, ...]  # the exact one of each picture


@dataclass(frozen=True)
class Evaluation:
    """Shares of the test pictures, 0 to 1."""

    right_objects: float  # the caption names exactly the objects shown
    exact: float  # the caption is the exact one


def load_test(folder: Path, processor: InstructBlipProcessor) -> TestSet:
    """Read the test pictures; the first reference of a picture is its exact caption."""
    captions = pd.read_csv(folder / "captions.csv").groupby("image_id", sort=True)["caption"].first()
    pictures = []
    for image_id in captions.index:
        with Image.open(folder / f"{image_id}.jpg") as picture:
            pictures.append(picture.convert("RGB"))
    pixels = processor.image_processor(pictures, return_tensors="pt").pixel_values
    return TestSet(pixels, tuple(captions))


@torch.no_grad()
def evaluate(losses: Losses, processor: InstructBlipProcessor, test: TestSet) -> Evaluation:
    """Caption the test pictures greedily and count."""
    losses.eval()
    found: list[str] = []
    for pixels in torch.split(test.pixels.to(losses.prompt.device), 50):
        z = losses.model.vision_model(pixels).last_hidden_state
        prefix = losses.prefix(losses.queries(z))
        tokens = losses.model.language_model.generate(
            inputs_embeds=prefix, max_new_tokens=24, do_sample=False
        )
        found += processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    losses.train()
    pairs = list(zip(found, test.captions, strict=True))
    return Evaluation(
        right_objects=sum(objects_in(a) == objects_in(b) for a, b in pairs) / len(pairs),
        exact=sum(a == b for a, b in pairs) / len(pairs),
    )
