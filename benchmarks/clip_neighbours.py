"""Searching the index of head contributions against a plain loop on the contributions: same answers, time.

    OMP_NUM_THREADS=1 uv run python benchmarks/clip_neighbours.py

50,000 pictures of a ViT-B-16's shape: 4 layers of 12 heads of 64, embedding 512, random. The other side has
every head's contributions as arrays already, in float64, and takes for each picture their sum, its length and
its product with the query. Searched: one head, 4 and 12 heads whose lengths the index stores, and 12 others,
which it finds at the first search and keeps. "first" is the first search after the file was put out of the
page cache, where the system lets a program do that; "next" is the median of 21 more. One thread.

A second table says what half precision would do: the largest difference of a cosine, and how many of the
first 8 stay the same.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitpeel.clip.contributions import Features
from vitpeel.clip.head_places import Place
from vitpeel.clip.neighbours import Index, Neighbour, build, nearest, open_index
from vitpeel.provenance import Provenance, canonical
from vitpeel.tensors import TensorSpec, TensorWriter

LAYERS, HEADS, HEAD, EMBEDDING = (8, 9, 10, 11), 12, 64, 512
COUNT, AGAIN, BATCH = 8, 21, 512
SETS: dict[str, tuple[Place, ...]] = {
    "1 head": ((11, 3),),
    "4 heads": ((8, 1), (9, 5), (11, 3), (11, 7)),
    "12 heads": tuple((layer, head) for layer in LAYERS for head in (0, 4, 9)),
    "12 heads, not stored": tuple((layer, head) for layer in LAYERS for head in (2, 6, 10)),
}


def draw(pictures: int, seed: int) -> Features:
    """Random features, as of a shard: a constant part, as heads have it, and strong and weak directions."""
    numbers = torch.Generator().manual_seed(seed)
    shape = (pictures, len(LAYERS), HEADS, HEAD)
    shift = torch.randn(shape[1:], generator=torch.Generator().manual_seed(0))
    heads = torch.randn(shape, generator=numbers) * 0.96 ** torch.arange(HEAD) + shift
    scalars = torch.randn(pictures, 3, generator=numbers).clamp(-3, 3) / 10 + 1
    return Features(heads, scalars)


def save(folder: Path, pictures: int) -> list[Path]:
    """Feature files of 5,000 pictures each."""
    origin = Provenance(checkpoint="random", config=canonical({"layers": list(LAYERS)}))
    files = []
    for start in range(0, pictures, 5_000):
        found = draw(min(5_000, pictures - start), start + 1)
        names = [f"picture-{start + number:06d}" for number in range(len(found.heads))]
        specs = {"heads": TensorSpec(tuple(found.heads.shape), "float32")}
        specs["scalars"] = TensorSpec(tuple(found.scalars.shape), "float32")
        files.append(folder / f"features-{start:06d}.safetensors")
        with TensorWriter(files[-1], specs, origin, names) as writer:
            writer.append("heads", found.heads)
            writer.append("scalars", found.scalars)
    return files


def plain(
    pictures: int, maps: NDArray[np.float64], places: tuple[Place, ...], query: NDArray[np.float64]
) -> tuple[list[Neighbour], float]:
    """The nearest by a loop over full contributions; the seconds that loop and sorting took."""
    ids, scores, taken = [], [], 0.0
    for start in range(0, pictures, 5_000):
        found = draw(min(5_000, pictures - start), start + 1)
        mean, scale, norm = found.scalars.double().numpy().T
        parts = []
        for layer, head in places:
            z = found.heads[:, LAYERS.index(layer), head].double().numpy()
            each = scale * norm
            x = np.column_stack([z / each[:, None], 1 / each, mean / each, 1 / norm])
            parts.append(x @ maps[LAYERS.index(layer), head].T)
        begun = time.perf_counter()
        for number in range(len(found.heads)):
            whole = np.zeros(EMBEDDING)
            for part in parts:
                whole += part[number]
            scores.append(whole @ query / (np.linalg.norm(whole) * np.linalg.norm(query)))
            ids.append(f"picture-{start + number:06d}")
        taken += time.perf_counter() - begun
    begun = time.perf_counter()
    best = sorted(zip(scores, ids, strict=True), key=lambda one: (-one[0], one[1]))[:COUNT]
    return [Neighbour(name, score) for score, name in best], taken + time.perf_counter() - begun


def timed(index: Index, query: NDArray[np.float64], places: tuple[Place, ...]) -> tuple[float, float]:
    """Milliseconds of the first search and of the median of others."""
    taken = []
    for _ in range(AGAIN + 1):
        begun = time.perf_counter()
        nearest(index, query, places, COUNT)
        taken.append(1000 * (time.perf_counter() - begun))
    return taken[0], float(np.median(taken[1:]))


def forget(path: Path) -> None:
    """Ask the system to put the file out of its cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def halved(index: Index, query: NDArray[np.float64], places: tuple[Place, ...]) -> tuple[float, int]:
    """With y in half precision: the largest difference of a cosine, and how many of the first stay."""

    def cosines(kind: str) -> NDArray[np.float64]:
        parts = [(index.rows[at].astype(kind).astype("float64"), index.basis(at)) for at in places]
        whole = np.asarray(sum(rows @ basis.T for rows, basis in parts))
        return np.asarray(whole @ query / np.linalg.norm(whole, axis=1) / np.linalg.norm(query))

    full, half = cosines("float32"), cosines("float16")
    first = [set(np.argsort(-one, kind="stable")[:COUNT].tolist()) for one in (full, half)]
    return float(np.abs(full - half).max()), len(first[0] & first[1])


def main() -> int:
    """Print the tables; the exit status says whether the answers are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="where the files go for the time; a temporary folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    numbers = torch.Generator().manual_seed(1)
    maps: Tensor = torch.randn(len(LAYERS), HEADS, EMBEDDING, HEAD + 3, generator=numbers).double() / 22
    same = True
    with TemporaryDirectory(dir=arguments.folder) as folder:
        files, path = save(Path(folder), arguments.pictures), Path(folder) / "index.safetensors"
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        build(path, files, maps, [places for name, places in SETS.items() if "not" not in name])
        built, more = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        size = path.stat().st_size / 1e6
        print(
            f"Built in {built:.1f} s: {size:.0f} MB, {max(more, 0) / 1024:.0f} MB of memory beyond the rest\n"
        )
        print("| searched | first, ms | next, ms | by a text, ms | plain loop, ms | times faster | same 8 |")
        print("|---|---|---|---|---|---|---|")
        halves = []
        for name, places in SETS.items():
            forget(path)
            index = open_index(path)
            query = index.represent(draw(1, 10**6), places)[0]
            text = torch.randn(EMBEDDING, generator=numbers, dtype=torch.float64).numpy()
            first, after = timed(index, query, places)
            _, by_text = timed(index, text, places)
            found = nearest(index, query, places, COUNT)
            expected, taken = plain(arguments.pictures, maps.numpy(), places, query)
            count = sum(one.image_id == other.image_id for one, other in zip(found, expected, strict=True))
            same &= count == COUNT
            faster = f"**{1000 * taken / after:.0f}**"
            print(
                f"| {name} | {first:.0f} | {after:.1f} | {by_text:.1f} | {1000 * taken:.0f} | {faster} "
                f"| {count} |"
            )
            halves.append((name, *halved(index, query, places)))
        print("\n| half precision | largest difference of a cosine | of the first 8 stay |")
        print("|---|---|---|")
        for name, apart, stay in halves:
            print(f"| {name} | {apart:.0e} | {stay} |")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
