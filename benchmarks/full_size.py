"""A rehearsal at full size: InstructBLIP-FlanT5-XL's shape, random weights, the paper's experiments, times.

    uv run python benchmarks/full_size.py                       # on a GPU: the real shape, in half precision
    uv run python benchmarks/full_size.py --smallest            # anywhere: real widths, two blocks a part
    uv run python benchmarks/full_size.py --smallest --profile  # and where the decoding's time goes

Random weights say nothing sensible, so every caption is given the same length (`--words`); with real weights
the upper layers of an InstructBLIP end by themselves after about that many. What is measured: the layer sweep
(every layer of every picture), the lower-layer experiment (its 54 variants and the unedited model) and the
heads experiment (every head of five layers). The rate at which the device multiplies large matrices in the
language model's precision, measured in the same run, is what the decoding is compared with. The projection to
500 pictures multiplies the captions of every figure by the measured times of its parts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from full_size_model import SMALLEST, Shape, build, language_operations
from torch import Tensor

from vitpeel import lower
from vitpeel.captioner import Captioner
from vitpeel.config import Decoding
from vitpeel.means import Means
from vitpeel.sweep import Sweep, Variant, cost, unedited
from vitpeel.tables import Reading
from vitpeel.trunk import Trunk

PICTURES = 500  # of WHOOPS
SAMPLE, RANDOM_DRAWS = 100, 20  # of Algorithm 1 and its controls
HEADER = (
    *("experiment", "batch", "captions", "captions/s", "trunk s", "decoding s"),
    *("blocks to a naive loop's", "decoding to the matrix rate"),
)


@dataclass
class Clock:
    """Seconds spent in the trunk and in everything behind it, the device waited for."""

    device: torch.device
    trunk: float = 0.0
    total: float = 0.0

    def now(self) -> float:
        """Seconds, when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of large matrix products, the best of five."""
    size = 8192 if device.type == "cuda" else 2048
    one, two = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    clock, best = Clock(device), 0.0
    for _ in range(6):  # the first to warm up
        start = clock.now()
        one @ two
        best = max(best, 2 * size**3 / (clock.now() - start))
    return best


@dataclass(frozen=True)
class Measured:
    """One experiment: captions, seconds in the trunk and behind it, blocks run to blocks of a naive loop."""

    name: str
    captions: int
    trunk: float
    rest: float
    blocks: float


def measure(
    name: str,
    trunk: Trunk,
    captioner: Captioner,
    pixels: Tensor,
    variants: Sequence[Variant],
    decoding: Decoding,
    batch: int,
    pictures_at_once: int,
) -> Measured:
    """Caption every reading of the variants.  pixels: [pictures, 3, height, width]."""
    clock = Clock(pixels.device)
    run = Sweep(trunk, tuple(variants))

    def rows() -> Iterator[tuple[Reading, Tensor]]:
        for start in range(0, len(pixels), pictures_at_once):
            before = clock.now()
            readings = run(pixels[start : start + pictures_at_once])
            while (reading := next(readings, None)) is not None:
                clock.trunk += clock.now() - before
                for number, z in enumerate(reading.z):
                    yield Reading(str(start + number), reading.variant, reading.layer, reading.head), z
                before = clock.now()
            clock.trunk += clock.now() - before

    start = clock.now()
    count = sum(1 for _ in captioner.caption(rows(), decoding, batch))
    total = clock.now() - start
    planned = cost(variants, trunk.depth, trunk.heads)
    return Measured(name, count, clock.trunk, total - clock.trunk, planned.share)


def experiments(trunk: Trunk) -> dict[str, list[Variant]]:
    """The layer sweep, Figure 2's variants and the heads of five layers, scaled to the trunk's depth."""
    depth = trunk.depth
    values = torch.randn(depth, trunk.tokens, trunk.width, dtype=torch.float64)
    means = Means("input", values, 1)
    first = max(depth * 11 // 39, 1)
    points = lower.points((0, first - 1), (first, max(depth * 20 // 39, first)))
    heads = tuple(range(depth * 24 // 39, depth * 28 // 39 + 1))
    return {
        "layers": [unedited(depth)],
        "lower": list(lower.variants(points, depth, means, means, means)),
        "heads": [Variant("heads", heads, heads="alone")],
    }


def projection(found: dict[str, Measured], pictures: int, depth: int, heads: int) -> dict[str, float]:
    """Seconds of each figure for 500 pictures on this device, by captions and by what one cost here.

    Figures 1, 3 and 5 are made from the same captions. Table 1: heads of 100 pictures, then the last 15
    layers of the other 400 for the unedited model, four prunings and 20 random ones.
    """
    seconds = {name: (one.trunk + one.rest) / one.captions for name, one in found.items()}
    a_picture = {name: one.captions / pictures for name, one in found.items()}
    pruned = (PICTURES - SAMPLE) * (5 + RANDOM_DRAWS) * (depth - depth * 24 // 39)
    return {
        "Figures 1, 3, 5 (all layers)": seconds["layers"] * a_picture["layers"] * PICTURES,
        "Figure 2 (lower layers)": seconds["lower"] * a_picture["lower"] * PICTURES,
        "Figure 6 (heads of one layer, 2 pictures)": seconds["heads"] * heads * 2,
        "Algorithm 1 (heads of 100 pictures)": seconds["heads"] * a_picture["heads"] * SAMPLE,
        "Table 1 (25 models, 400 pictures)": seconds["layers"] * pruned,
    }


def profiled(run: Callable[[], object], device: torch.device) -> str:
    """The 15 operations that take most time."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    key = "self_cpu_time_total"
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
        key = "self_cuda_time_total"
    with torch.profiler.profile(activities=kinds) as profile:
        run()
    table: str = profile.key_averages().table(sort_by=key, row_limit=15, max_name_column_width=50)
    return table


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smallest", action="store_true", help="real widths, two or three blocks a part")
    parser.add_argument("--pictures", type=int, default=None, help="default: 16, on a CPU 2")
    parser.add_argument("--words", type=int, default=12, help="length of every caption, in tokens")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=None, help="captions at a time, each tried")
    parser.add_argument("--profile", action="store_true", help="where the layer sweep's time goes")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    vision = torch.float16 if cuda else torch.float32
    language = torch.bfloat16 if cuda else torch.float32
    shape = SMALLEST if arguments.smallest else Shape()
    count = arguments.pictures or (16 if cuda else 2)
    batches = arguments.batches or ([128, 256, 512] if cuda else [32])
    decoding = Decoding(beams=arguments.beams, min_new_tokens=arguments.words, max_new_tokens=arguments.words)

    trunk, captioner = build(shape, device, vision, language)
    pixels = torch.randn(count, 3, 224, 224, device=device).to(vision)
    peak = matrix_rate(device, language)
    name = torch.cuda.get_device_name() if cuda else "CPU"
    print(f"{name}, {shape}, {count} pictures, {arguments.words} tokens, {arguments.beams} beams")
    print(f"matrix products in {str(language).removeprefix('torch.')}: {peak / 1e12:.2f} TFLOP/s\n")
    planned = experiments(trunk)
    measure("warm-up", trunk, captioner, pixels[:1], planned["layers"], decoding, batches[0], 8)

    print("| " + " | ".join(HEADER) + " |")
    print("|" + "---|" * len(HEADER), flush=True)
    best: dict[str, Measured] = {}
    for experiment, variants in planned.items():
        for batch in batches:
            one = measure(experiment, trunk, captioner, pixels, variants, decoding, batch, 8)
            operations = language_operations(captioner, one.captions, arguments.words, arguments.beams)
            share = operations / one.rest / peak
            cells = (
                *(experiment, f"{batch}", f"{one.captions}"),
                f"{one.captions / (one.trunk + one.rest):.1f}",
                *(f"{one.trunk:.2f}", f"{one.rest:.2f}", f"{one.blocks:.2f}", f"{share:.0%}"),
            )
            print("| " + " | ".join(cells) + " |", flush=True)
            if experiment not in best or one.rest < best[experiment].rest:
                best[experiment] = one
    print("\n| 500 pictures, projected | seconds |\n|---|---|")
    seconds = projection(best, count, trunk.depth, trunk.heads)
    for figure, value in seconds.items():
        print(f"| {figure} | {value:,.0f} |")
    print(f"| all | {sum(seconds.values()):,.0f} |")
    if cuda:
        print(f"\npeak memory of the device: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    if arguments.profile:
        print(
            profiled(
                lambda: measure("", trunk, captioner, pixels, planned["layers"], decoding, batches[0], 8),
                device,
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
