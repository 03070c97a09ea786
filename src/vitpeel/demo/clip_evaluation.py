"""How good a demo CLIP is on pictures it never saw: names without training on them, and retrieval."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from vitpeel.demo.captions import references
from vitpeel.demo.clip_architecture import tokens
from vitpeel.demo.clip_batches import normalised
from vitpeel.demo.clip_captions import name_prompts
from vitpeel.demo.clip_pictures import ORDINARY_STREAM, UNUSUAL_STREAM, layout, pixels
from vitpeel.demo.scenes import Layout
from vitpeel.demo.words import OBJECTS

STREAMS = {"ordinary": ORDINARY_STREAM, "unusual": UNUSUAL_STREAM}


@dataclass(frozen=True)
class UnseenSet:
    """Unseen pictures of a single object each."""

    pictures: np.ndarray  # [N, 64, 64, 3] uint8
    layouts: tuple[Layout, ...]


@dataclass(frozen=True)
class Evaluation:
    """Shares of the pictures of one set, 0 to 1."""

    pictures: int
    zero_shot: float  # the best of the 45 names is right
    zero_shot_colour: float  # the same, without the black and white pictures
    picture_to_caption: float  # the best of the set's exact captions is the picture's
    caption_to_picture: float  # the best of the set's pictures fits the caption


def load_unseen(glyphs: Path, seed: int, name: str, count: int) -> UnseenSet:
    """Draw a set, "ordinary" or "unusual" (pairs of object and scene that training never shows)."""
    layouts = tuple(layout(seed, k, STREAMS[name]) for k in range(count))
    return UnseenSet(np.stack([pixels(shown, glyphs) for shown in layouts]), layouts)


@torch.no_grad()
def evaluate(
    model: open_clip.CLIP, unseen: UnseenSet, tokenize: Callable[[Sequence[str]], Tensor] = tokens
) -> Evaluation:
    """Compare pictures with the 45 names ("a photo of an owl") and with the exact captions of their set."""
    was_training = model.training
    model.eval()
    parts = torch.split(normalised(unseen.pictures), 64)
    images = torch.cat([model.encode_image(part, normalize=True) for part in parts])
    names = model.encode_text(tokenize([one.text for one in name_prompts()]), normalize=True)
    shown = np.asarray([OBJECTS.index(one.objects[0]) for one in unseen.layouts])
    right = (images @ names.T).argmax(1).numpy() == shown
    coloured = np.asarray([not one.monochrome for one in unseen.layouts])
    said = [references(one)[0] for one in unseen.layouts]
    captions = sorted(set(said))
    scores = images @ F.normalize(model.encode_text(tokenize(captions)), dim=-1).T
    best, found = scores.argmax(1), scores.argmax(0)
    model.train(was_training)
    return Evaluation(
        pictures=len(right),
        zero_shot=float(right.mean()),
        zero_shot_colour=float(right[coloured].mean()),
        picture_to_caption=float(np.mean([captions[k] == own for k, own in zip(best, said, strict=True)])),
        caption_to_picture=float(np.mean([said[k] == own for k, own in zip(found, captions, strict=True)])),
    )


def write(path: Path, results: dict[str, Evaluation]) -> None:
    """Write one row a set: `set` and the fields of `Evaluation`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["set", *Evaluation.__dataclass_fields__])
        for name, result in results.items():
            writer.writerow([name, *(round(value, 4) for value in asdict(result).values())])
