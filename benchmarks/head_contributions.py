"""Capture of all head contributions of a ViT-B-16 against hooks that keep every token's contribution.

    uv run python benchmarks/head_contributions.py

Each side in a process of its own on one thread, with the same random weights and pictures:

    embedding     open_clip's forward pass and nothing else: what no capture can do without
    ours          `contributions.terms`: the row of CLS, heads added up over tokens before W_O
    every query   a hook on open_clip's blocks that computes, as the authors' attention does, what each token
                  gives to each other through each head, keeps that of CLS until the norm is known, then
                  folds, projects and adds up
    CLS only      the same hook, trimmed: for CLS alone

Memory is the highest that a side's first pass needs beyond the loaded model (the kernel's high-water mark,
with freed memory given back at once); time is the best of some passes after it. Nothing else should run on
the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "ViT-B-16"
SIDES = ("embedding", "ours", "every query", "CLS only")


@dataclass(frozen=True)
class Took:
    """Seconds a picture, and bytes beyond the model at most."""

    seconds: float
    memory: int


def hooked(model: Any, pixels: Any, every: bool) -> Any:
    """Contributions by hooks on open_clip.  every: for every query.  -> [n, layers, heads, embedding]."""
    import torch

    visual, blocks = model.visual, model.visual.transformer.resblocks
    kept: list[Any] = []
    end: list[Any] = []

    def keep(block: Any) -> Callable[..., None]:
        attention = block.attn
        heads = attention.num_heads
        out = attention.out_proj.weight.unflatten(1, (heads, -1))  # [width, heads, d_head]

        def hook(_: Any, arguments: Any, normed: Any) -> None:
            joint = normed @ attention.in_proj_weight.T + attention.in_proj_bias
            q, k, v = (part.unflatten(-1, (heads, -1)) for part in joint.chunk(3, dim=-1))
            q = q if every else q[:, :1]
            weights = (torch.einsum("bqhc,bthc->bqth", q, k) * q.shape[-1] ** -0.5).softmax(dim=2)
            given = torch.einsum("bqth,bthc->bqthc", weights, v)
            through = torch.einsum("bqthc,dhc->bqthd", given, out)[:, 0]
            kept.append(through + attention.out_proj.bias / (through.shape[1] * heads))

        return hook

    hooks = [block.ln_1.register_forward_hook(keep(block)) for block in blocks]
    hooks.append(blocks[-1].register_forward_hook(lambda _, arguments, out: end.append(out[:, 0])))
    norm = model.encode_image(pixels).norm(dim=-1)
    for hook in hooks:
        hook.remove()
    each = torch.stack(kept, dim=1)  # [n, layers, tokens, heads, width]
    parts = (2 * len(blocks) + 1) * each.shape[2] * each.shape[3]
    wide = (-1, 1, 1, 1, 1)
    mean = end[0].mean(-1).view(wide)
    scale = (end[0].var(-1, correction=0) + visual.ln_post.eps).sqrt().view(wide)
    folded = visual.ln_post.weight * (each - mean / parts) / scale + visual.ln_post.bias / parts
    return (folded @ visual.proj / norm.view(wide)).sum(2)


def resident(kind: str) -> int:
    """Of this process, in bytes: "VmRSS" now, "VmHWM" the most since it was last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {kind} in /proc/self/status: this benchmark needs Linux")


def measure(side: str, pictures: int, passes: int, found: Path) -> Took:
    """One side in this process.  found: gets its contributions of the first pass."""
    import open_clip
    import torch

    from vitpeel.clip import contributions
    from vitpeel.models import openclip

    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns that the weights are random
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = open_clip.create_model(MODEL).eval().requires_grad_(False)
    for value in model.parameters():
        if value.dim() == 1:
            value.add_(0.2 * torch.randn_like(value))  # open_clip's first norms and biases do nothing
    pixels = torch.randn(pictures, 3, 224, 224)
    pictures_cfg = open_clip.transform.PreprocessCfg()
    clip = openclip.clip_of(model, open_clip.get_tokenizer(MODEL), pictures_cfg)

    @torch.inference_mode()
    def capture() -> Any:
        if side == "embedding":
            return model.encode_image(pixels)
        if side == "ours":
            return contributions.terms(clip, pixels).heads
        return hooked(model, pixels, every=side == "every query")

    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    np.save(found, capture().numpy())
    memory = resident("VmHWM") - before
    seconds = []
    for _ in range(passes):
        started = time.perf_counter()
        capture()
        seconds.append(time.perf_counter() - started)
    return Took(min(seconds) / pictures, memory)


def run(side: str, pictures: int, passes: int, found: Path) -> Took:
    """One side in a process of its own."""
    arguments = ["--side", side, "--found", str(found), "--pictures", str(pictures), "--passes", str(passes)]
    said = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "262144"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return Took(**json.loads(said.splitlines()[-1]))


def main() -> int:
    """Print the table; the exit status says whether the numbers are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=4, help="at a time")
    parser.add_argument("--passes", type=int, default=3, help="timed ones")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        took = measure(arguments.side, arguments.pictures, arguments.passes, arguments.found)
        print(json.dumps({"seconds": took.seconds, "memory": took.memory}))
        return 0
    print("| | s a picture | times faster | MB beyond the model | times less | largest difference |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = {side: Path(folder) / f"{number}.npy" for number, side in enumerate(SIDES)}
        took = {side: run(side, arguments.pictures, arguments.passes, files[side]) for side in SIDES}
        values = {side: np.load(file) for side, file in files.items()}
    ours, agree = took["ours"], True
    for side, own in took.items():
        same_kind = values[side].shape == values["ours"].shape
        apart = float(np.abs(values[side] - values["ours"]).max()) if same_kind else 0.0
        agree &= apart < 1e-5
        cells = [side, f"{own.seconds:.2f}", f"{own.seconds / ours.seconds:.1f}", f"{own.memory / 1e6:.0f}"]
        less = f"{own.memory / ours.memory:.1f}"
        print("| " + " | ".join([*cells, less, f"{apart:.0e}" if same_kind else ""]) + " |")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
