"""The interventions against the naive loop, on the embedded captioner: same captions; trunk and rest apart.

    uv run python benchmarks/interventions.py

Two experiments of the paper: 54 averaged and confused variants of the lower layers, with the unedited model
(section 4.2), and every head of layers 24 to 28 by itself (section 4.4). The naive loop is what one writes
with transformers alone: for each variant or head, hooks on the vision encoder, a forward pass of all of it up
to the layer that is read, and the model's own `generate`; a picture at a time, and once more with a batch of
pictures, the stronger opponent. The sweep is this project's. Both run on one thread and take the same
pictures and means; loading, means and reading pictures are not in the time. Nothing else should run on the
machine meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from layer_sweep import Clock
from naive_loop import Edited, averaging, confusing, isolating, written
from PIL import Image
from torch import Tensor

from vitpeel import lower, means, models
from vitpeel.config import Decoding
from vitpeel.models import Model
from vitpeel.sweep import Reading, Variant, cost, sweep

ROOT = Path(__file__).parents[1]
HEAD_LAYERS = (24, 25, 26, 27, 28)
PICTURE_BATCH, CAPTION_BATCH = 8, 256
Key = tuple[int, str]  # number of the picture; variant, with layer and head where one is read
Captions = dict[Key, str]


@dataclass(frozen=True)
class Experiment:
    """The same experiment for both sides."""

    name: str
    variants: tuple[Variant, ...]
    edited: tuple[Edited, ...]


@dataclass(frozen=True)
class Took:
    """Captions, and the seconds that they took in the vision transformer and after it."""

    captions: Captions
    trunk: float
    decoding: float

    @property
    def rate(self) -> float:
        """Captions a second."""
        return len(self.captions) / (self.trunk + self.decoding)


def named(variant: str, layer: int, head: int | None) -> str:
    """How both sides call a reading."""
    return variant if head is None else f"{variant} {layer}.{head}"


def lower_layers(model: Model, pixels: Tensor, others: Tensor) -> Experiment:
    """Section 4.2: 54 points and the unedited model. others: pixels of the other set."""
    own, other = (
        means.sums(model.trunk, means.fresh_inputs(model.trunk, seen.split(PICTURE_BATCH))).mean("input")
        for seen in (pixels, others)
    )
    chosen, last = lower.points(), model.trunk.depth - 1
    edited = [Edited("unedited", lambda _: [], last)]
    for point in chosen:
        mean = other if point.curve.startswith("other") else own
        hook = confusing(point, own) if point.curve == "confusion" else averaging(point, mean)
        edited.append(Edited(point.name, hook, last))
    variants = lower.variants(chosen, model.trunk.depth, own, own, other)
    return Experiment("lower layers", variants, tuple(edited))


def single_heads(model: Model) -> Experiment:
    """Section 4.4: every head of some layers by itself: the stream before plus this head, then the MLP."""
    heads, size = model.trunk.heads, model.trunk.width // model.trunk.heads
    edited = tuple(
        Edited(named("head", layer, head), isolating(layer, head, size), layer)
        for layer in HEAD_LAYERS
        for head in range(heads)
    )
    return Experiment("single heads", (Variant("head", HEAD_LAYERS, heads="alone"),), edited)


def swept(model: Model, experiment: Experiment, pixels: Tensor, decoding: Decoding) -> Took:
    """The experiment by the sweep."""
    clock, start = Clock(), time.perf_counter()

    def rows() -> Iterator[tuple[Key, Tensor]]:
        read = clock.timed("trunk", lambda x: list(sweep(model.trunk, x, experiment.variants)))
        for first in range(0, len(pixels), PICTURE_BATCH):
            readings: list[Reading] = read(pixels[first : first + PICTURE_BATCH])
            for one in readings:
                name = named(one.variant, one.layer, one.head)
                yield from (((first + number, name), z) for number, z in enumerate(one.z))

    said = {c.key: c.text for c in model.captioner.caption(rows(), decoding, CAPTION_BATCH)}
    return Took(said, clock.trunk, time.perf_counter() - start - clock.trunk)


def looped(
    checkpoint: Any,
    processor: Any,
    prompt: str,
    experiment: Experiment,
    pixels: Tensor,
    settings: Decoding,
    batch: int,
) -> Took:
    """The experiment by the naive loop, so many pictures at a time."""
    clock, start = Clock(), time.perf_counter()
    captions: Captions = {}
    vision = checkpoint.vision_model
    forward = vision.forward

    def timed(*arguments: Any, **named_arguments: Any) -> Any:
        return clock.timed("trunk", lambda: forward(*arguments, **named_arguments))()

    vision.forward = timed
    text = processor(images=Image.new("RGB", (8, 8)), text=prompt, return_tensors="pt")
    words = {name: value for name, value in text.items() if name != "pixel_values"}
    for first in range(0, len(pixels), batch):
        some = pixels[first : first + batch]
        repeated = {name: value.expand(len(some), -1) for name, value in words.items()}
        for edited in experiment.edited:
            with edited.on(vision):
                said = written(checkpoint, processor, {"pixel_values": some, **repeated}, settings)
            captions |= {(first + number, edited.name): own for number, own in enumerate(said)}
    vision.forward = forward
    return Took(captions, clock.trunk, time.perf_counter() - start - clock.trunk)


def milliseconds(took: Took) -> str:
    """A caption's time in the trunk and after it."""
    each = 1000 / len(took.captions)
    return f"{took.trunk * each:.1f} + {took.decoding * each:.1f}"


def compare(
    model: Model,
    checkpoint: Any,
    processor: Any,
    prompt: str,
    experiment: Experiment,
    pixels: Tensor,
    few: int,
) -> tuple[str, bool]:
    """A row of the table, and whether all captions agree."""
    decoding = Decoding()
    swept(model, experiment, pixels[:1], decoding)  # to warm up
    ours = swept(model, experiment, pixels, decoding)
    one, many = (
        looped(checkpoint, processor, prompt, experiment, pixels[:few], decoding, batch) for batch in (1, few)
    )
    planned = cost(experiment.variants, model.trunk.depth, model.trunk.heads)
    same = sum(ours.captions[key] == text for key, text in one.captions.items())
    cells = [
        experiment.name,
        f"{planned.mlps} of {planned.naive_blocks} ({planned.share:.2f})",
        *(milliseconds(took) for took in (one, many, ours)),
        f"**{ours.rate / one.rate:.0f}**, **{ours.rate / many.rate:.1f}**",
        f"{same} of {len(one.captions)}",
    ]
    return "| " + " | ".join(cells) + " |", same == len(one.captions)


def main() -> int:
    """Print the table; the exit status says whether the captions are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "resources/demo/captioner")
    parser.add_argument("--pictures", type=Path, default=ROOT / "resources/demo/whoops")
    parser.add_argument("--others", type=Path, default=ROOT / "resources/demo/imagenet")
    parser.add_argument("--prompt", default="a short image description")
    parser.add_argument("--count", type=int, default=32, help="pictures for the sweep")
    parser.add_argument(
        "--loop-count", type=int, default=8, help="pictures for the loop, which takes its time"
    )
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)

    from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

    model = models.load("instructblip", arguments.checkpoint, prompt=arguments.prompt, device="cpu")
    checkpoint: Any = InstructBlipForConditionalGeneration.from_pretrained(
        arguments.checkpoint, dtype=torch.float32
    ).eval()
    processor: Any = InstructBlipProcessor.from_pretrained(arguments.checkpoint, backend="pil")
    pixels, others = (
        model.preprocess(
            [
                Image.open(path).convert("RGB")
                for path in sorted(folder.glob("*.[jp][pn]g"))[: arguments.count]
            ]
        )
        for folder in (arguments.pictures, arguments.others)
    )
    few = arguments.loop_count
    heads = ["blocks a batch, sweep of loop", "loop", f"loop, {few} pictures", "sweep"]
    print("| ms a caption, trunk + rest | " + " | ".join([*heads, "times faster", "same captions"]) + " |")
    print("|" + "---|" * (len(heads) + 3), flush=True)
    agree = True
    for experiment in (lower_layers(model, pixels, others), single_heads(model)):
        row, same = compare(model, checkpoint, processor, arguments.prompt, experiment, pixels, few)
        print(row, flush=True)
        agree &= same
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
