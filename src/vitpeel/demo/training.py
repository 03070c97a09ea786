"""Train the demo captioner from nothing: a shallow vision transformer first, then grown to 39 blocks.

Several one-thread processes (or one GPU) each take a share of every batch and average their gradients.
"""

from __future__ import annotations

import csv
import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from vitpeel.demo.architecture import DEPTH, build_model, build_processor, grow
from vitpeel.demo.batches import Scenes, loader
from vitpeel.demo.evaluation import evaluate, load_test
from vitpeel.demo.losses import Losses

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one depth."""

    depth: int  # vision blocks
    images: int  # examples seen in this stage
    rate: float  # peak learning rate
    warmup: int  # steps of linear warm-up
    decay: float  # the last share of the stage, over which the rate falls to a twentieth
    auxiliary: float  # weight of the word and patch losses


RECIPE: tuple[Stage, ...] = (
    Stage(depth=13, images=240_000, rate=1.5e-3, warmup=400, decay=0.0, auxiliary=1.0),
    Stage(depth=DEPTH, images=144_000, rate=1e-3, warmup=100, decay=0.45, auxiliary=0.5),
)
BATCH = 64  # examples a step, over all processes
EVALUATE_EVERY = 250  # steps


def _rate(stage: Stage, step: int) -> float:
    """Return the learning rate of a step: warm-up, plateau, linear decay to a twentieth."""
    steps = stage.images // BATCH
    into_decay = (step - (1 - stage.decay) * steps) / max(1.0, stage.decay * steps)
    return stage.rate * min(1.0, (step + 1) / stage.warmup) * (1 - 0.95 * min(1.0, max(0.0, into_decay)))


def _average_gradients(parameters: list[nn.Parameter], ranks: int) -> None:
    if ranks == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    averages = torch.split(flat / ranks, [gradient.numel() for gradient in gradients])
    for gradient, average in zip(gradients, averages, strict=True):
        gradient.copy_(average.view_as(gradient))


def _optimizer(losses: Losses) -> torch.optim.AdamW:
    matrices = [p for p in losses.parameters() if p.ndim >= 2]
    vectors = [p for p in losses.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))


def _deepen(losses: Losses | None, processor: InstructBlipProcessor, depth: int) -> Losses:
    """Return the captioner at the depth of the next stage; the auxiliary heads begin anew."""
    if losses is None:
        return Losses(build_model(processor, depth), processor)
    shallow = losses.model.config.vision_config.num_hidden_layers
    if depth % shallow:
        raise ValueError(f"a stage of {depth} blocks can not follow one of {shallow}: not a multiple")
    return Losses(grow(losses.model, processor, depth // shallow), processor)


@dataclass(frozen=True)
class Run:
    """Where and how to train."""

    demo: Path  # folder with glyphs/ and the test pictures whoops/
    out: Path  # gets curve.csv and captioner/
    seed: int
    recipe: tuple[Stage, ...] = RECIPE
    processes: int = 2
    evaluate_every: int = EVALUATE_EVERY
    port: int = 29511  # where the processes meet, on the loopback address


def train(run: Run) -> None:
    """Train by the recipe and write `<out>/captioner/` and `<out>/curve.csv`.

    On a GPU one process does all the work; without one, `run.processes` of one thread each share every batch.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    (run.out / "curve.csv").unlink(missing_ok=True)
    if torch.cuda.is_available() or run.processes == 1:
        _train_rank(0, run, 1)
    else:
        torch.multiprocessing.spawn(  # type: ignore[no-untyped-call, attr-defined]
            _train_rank, args=(run, run.processes), nprocs=run.processes
        )


def _train_rank(rank: int, run: Run, ranks: int) -> None:
    """Train as process `rank` of `ranks`; rank 0 evaluates and writes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if ranks > 1:
        dist.init_process_group(
            "gloo", init_method=f"tcp://127.0.0.1:{run.port}", rank=rank, world_size=ranks
        )
        torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    processor = build_processor()
    test = load_test(run.demo / "whoops", processor) if rank == 0 else None
    losses: Losses | None = None
    first, started = 0, time.monotonic()
    for stage in run.recipe:
        losses = _deepen(losses, processor, stage.depth).to(device).train()
        examples = Scenes(run.demo / "glyphs", processor, run.seed, first + stage.images)
        optimizer, parameters = _optimizer(losses), list(losses.parameters())
        for step, batch in enumerate(loader(examples, first, rank, ranks, BATCH // ranks, workers=1)):
            for group in optimizer.param_groups:
                group["lr"] = _rate(stage, step)
            loss = losses(batch.to(device), stage.auxiliary)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            _average_gradients(parameters, ranks)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            if test is not None and (step + 1) % run.evaluate_every == 0:
                row = {
                    "images": first + (step + 1) * BATCH,
                    "depth": stage.depth,
                    "loss": round(loss.item(), 4),
                    **dataclasses.asdict(evaluate(losses, processor, test)),
                    "seconds": round(time.monotonic() - started),
                }
                _append(run.out / "curve.csv", row)
                save(losses.model, processor, run.out / "captioner")
        first += stage.images
    if rank == 0 and losses is not None:
        save(losses.model, processor, run.out / "captioner")
    if ranks > 1:
        dist.destroy_process_group()


def _append(path: Path, row: dict[str, float]) -> None:
    log.info("%s", row)
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def save(model: InstructBlipForConditionalGeneration, processor: InstructBlipProcessor, folder: Path) -> None:
    """Write the captioner as `save_pretrained` does, in half precision."""
    half = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=half)
    processor.save_pretrained(folder)
