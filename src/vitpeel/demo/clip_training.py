"""Train a demo CLIP from nothing: a shallow vision tower first, then grown to 12 blocks."""

from __future__ import annotations

import csv
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vitpeel.demo.clip_architecture import DEPTH, SIZES, build_model, grow, save
from vitpeel.demo.clip_batches import batches
from vitpeel.demo.clip_evaluation import Evaluation, evaluate, load_unseen, write
from vitpeel.demo.clip_losses import ClipLosses

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one depth."""

    depth: int  # vision blocks
    images: int  # pictures seen in this stage
    rates: tuple[float, float]  # learning rate at its beginning and at its end, a cosine between
    keep: float = 1.0  # share of the patches that the vision tower sees, chosen anew for each picture
    auxiliary: float = 0.5  # weight of the patch loss
    warmup: int = 100  # steps of linear warm-up


RECIPES: dict[str, tuple[Stage, ...]] = {
    "clip-small": (
        Stage(4, 96_000, (1.5e-3, 1e-3), warmup=300),
        Stage(DEPTH, 96_000, (1e-3, 2e-5)),
    ),
    "clip-large": (
        Stage(4, 160_000, (1.5e-3, 1e-3), keep=0.5, warmup=300),
        Stage(DEPTH, 96_000, (1e-3, 3e-4), keep=0.5),
        Stage(DEPTH, 32_000, (3e-4, 1e-5)),
    ),
}
BATCH = 128
POOL = 64_000  # pictures drawn
EVALUATE_EVERY = 125  # steps
PROGRESS_PICTURES, FINAL_PICTURES = 300, 1_000  # of each set


@dataclass(frozen=True)
class Run:
    """What to train, and where."""

    size: str  # a name in SIZES
    glyphs: Path
    pool: Path  # folder of `clip_pictures.draw_pool`
    out: Path  # the model's folder, gets curve.csv and evaluation.csv too
    seed: int
    recipe: tuple[Stage, ...]
    batch: int = BATCH
    evaluate_every: int = EVALUATE_EVERY
    pictures: tuple[int, int] = (PROGRESS_PICTURES, FINAL_PICTURES)


def _rate(stage: Stage, step: int, steps: int) -> float:
    first, last = stage.rates
    cosine = last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
    return cosine * min(1.0, (step + 1) / stage.warmup)


def _optimizer(losses: ClipLosses) -> torch.optim.AdamW:
    matrices = [p for p in losses.parameters() if p.ndim >= 2]
    vectors = [p for p in losses.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))


def train(run: Run) -> None:
    """Train by the recipe and write the model, its progress and its evaluation on unseen pictures."""
    size, device = SIZES[run.size], "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(run.seed)
    run.out.mkdir(parents=True, exist_ok=True)
    (run.out / "curve.csv").unlink(missing_ok=True)
    progress, final = (
        {name: load_unseen(run.glyphs, run.seed, name, count) for name in ("ordinary", "unusual")}
        for count in run.pictures
    )
    model = build_model(size, run.recipe[0].depth)
    seen, started, losses, optimizer = 0, time.monotonic(), None, None
    for stage in run.recipe:
        if stage.depth != len(model.visual.transformer.resblocks):
            model, losses = grow(model.cpu(), size, stage.depth), None
        if losses is None or optimizer is None:
            losses = ClipLosses(model).to(device).train()
            optimizer = _optimizer(losses)
        steps = stage.images // run.batch
        for step, batch in enumerate(batches(run.pool, run.seed, seen, stage.images, run.batch)):
            for group in optimizer.param_groups:
                group["lr"] = _rate(stage, step, steps)
            loss = losses(batch.to(device), stage.keep, stage.auxiliary)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(losses.parameters(), 1.0)
            optimizer.step()
            if (step + 1) % run.evaluate_every == 0 or step + 1 == steps:
                found = {name: evaluate(model, unseen) for name, unseen in progress.items()}
                row = {"images": seen + (step + 1) * run.batch, "depth": stage.depth}
                _append(run.out / "curve.csv", row, loss.item(), found, time.monotonic() - started)
                save(model, size, run.out)
        seen += stage.images
    results = {name: evaluate(model, unseen) for name, unseen in final.items()}
    write(run.out / "evaluation.csv", results)


def _append(
    path: Path, row: dict[str, int], loss: float, found: dict[str, Evaluation], seconds: float
) -> None:
    values = {
        **row,
        "loss": round(loss, 4),
        **{name: round(result.zero_shot, 4) for name, result in found.items()},
        **{f"{name}_caption": round(result.picture_to_caption, 4) for name, result in found.items()},
        "seconds": round(seconds),
    }
    log.info("%s", values)
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(values))
        if fresh:
            writer.writeheader()
        writer.writerow(values)
