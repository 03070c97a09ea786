"""TextSpan from moments against the published algorithm on the data: same picks, time.

    uv run python benchmarks/textspan.py

One head of 64 with random features of 50,000 pictures, whose contributions are 50,000 x 768, and 3,498 random
texts; 60 picks. The other side is the algorithm as it is published, in torch and in float32, on contributions
that are there already: singular values, then for each pick a product of all pictures with all texts, a
standard deviation, and both less the pick. Ours starts from features as they are captured, and takes moments
and picks; both are timed whole, on one thread. Nothing else should run on the machine meanwhile.

A second table says how many picks of the published algorithm, the first ones, stay the same when 5,000
pictures are put into another order, which changes nothing but rounding: with the span that the contributions
have, and with the 80 directions of the authors.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from torch import Tensor

from vitpeel.clip import contributions, moments
from vitpeel.clip.contributions import Features
from vitpeel.clip.textspan import textspan

EMBEDDING, HEAD = 768, 64
AUTHORS_RANK = 80
BATCH = 256


def head(pictures: int, texts: int) -> tuple[Features, Tensor, Tensor]:
    """Random features, the map of their head [1, 1, 768, 67], and texts [texts, 768]."""
    draw = torch.Generator().manual_seed(0)
    strength = 0.96 ** torch.arange(HEAD)
    shift = torch.randn(HEAD, generator=draw)
    heads = (torch.randn(pictures, HEAD, generator=draw) + shift) * strength
    scalars = 1 + 0.1 * torch.randn(pictures, 3, generator=draw).clamp(-3, 3)
    maps = torch.randn(1, 1, EMBEDDING, HEAD + 3, generator=draw, dtype=torch.float64) / EMBEDDING
    near = torch.randn(texts, HEAD + 3, generator=draw) @ maps[0, 0].float().T
    rows = near / near.norm(dim=1, keepdim=True) + torch.randn(texts, EMBEDDING, generator=draw) / 20
    return Features(heads[:, None, None], scalars), maps, rows / rows.norm(dim=1, keepdim=True)


def published(data: Tensor, texts: Tensor, picks: int, rank: int) -> list[int]:
    """The algorithm on data [pictures, embedding] and texts [texts, embedding]."""
    basis = torch.linalg.svd(data, full_matrices=False).Vh[:rank]
    texts = texts @ basis.T @ basis
    data = data - data.mean(0)
    found = []
    for _ in range(picks):
        best = int((data @ texts.T).std(0).argmax())
        direction = texts[best] / (texts[best] @ texts[best])
        data = data - torch.outer(data @ texts[best], direction)
        texts = texts - torch.outer(texts @ texts[best], direction)
        found.append(best)
    return found


def agreeing(one: list[int], other: list[int]) -> int:
    """How many picks are the same before the first that is not."""
    apart = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return apart[0] if apart else len(one)


def reordered(rank: int, picks: int, orders: int = 4) -> list[int]:
    """How many picks stay the same, for each of some other orders of the pictures."""
    captured, maps, texts = head(5_000, 1_000)
    data = contributions.expand(captured, maps)[:, 0, 0]
    first = published(data, texts, picks, rank)
    draw = torch.Generator().manual_seed(1)
    others = [data[torch.randperm(len(data), generator=draw)] for _ in range(orders)]
    return [agreeing(first, published(other, texts, picks, rank)) for other in others]


def main() -> int:
    """Print the table; the exit status says whether the picks are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--texts", type=int, default=3_498)
    parser.add_argument("--picks", type=int, default=60)
    parser.add_argument("--rank", type=int, default=HEAD + 3, help="of the span, for the published algorithm")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    captured, maps, texts = head(arguments.pictures, arguments.texts)
    data = contributions.expand(captured, maps)[:, 0, 0]

    started = time.perf_counter()
    batches = zip(captured.heads.split(BATCH), captured.scalars.split(BATCH), strict=True)
    found = moments.sums((0,), maps, (Features(*batch) for batch in batches))
    summed = time.perf_counter() - started
    ours = [pick.text for pick in textspan(found.head(0, 0), texts, arguments.picks)]
    whole = time.perf_counter() - started

    started = time.perf_counter()
    theirs = published(data, texts, arguments.picks, arguments.rank)
    taken = time.perf_counter() - started
    same = agreeing(ours, theirs)
    print("| published, s | ours, s: moments + picks | times faster | same picks |")
    print("|---|---|---|---|")
    both = f"{summed:.3f} + {whole - summed:.3f}"
    print(f"| {taken:.0f} | {both} | **{taken / whole:.0f}** | {same} of {arguments.picks} |")
    print("\n| directions of the span | first picks that stay, in four other orders |")
    print("|---|---|")
    for rank in (HEAD + 3, AUTHORS_RANK):
        kept = ", ".join(str(count) for count in reordered(rank, arguments.picks))
        print(f"| {rank} | {kept} of {arguments.picks} |")
    return 0 if same == arguments.picks else 1


if __name__ == "__main__":
    sys.exit(main())
