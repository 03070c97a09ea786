"""What the sweep is measured against: edits as hooks on transformers, and the checkpoint's own `generate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitpeel.config import Decoding
from vitpeel.lower import Point
from vitpeel.means import Means

Hook = Callable[[Any], list[Any]]  # puts hooks on a vision model and returns their handles


@dataclass(frozen=True)
class Edited:
    """One forward pass of the naive loop: what it is called, its hooks, and the last layer that it runs."""

    name: str
    hook: Hook
    last: int

    @contextmanager
    def on(self, vision: Any) -> Iterator[None]:
        """Run a vision model with these hooks and no further than that layer."""
        whole = vision.encoder.layers
        handles = self.hook(vision)
        vision.encoder.layers = whole[: self.last + 1]
        yield
        vision.encoder.layers = whole
        for handle in handles:
            handle.remove()


def averaging(point: Point, mean: Means) -> Hook:
    """The attention of some blocks reads the mean."""

    def put(vision: Any) -> list[Any]:
        def replaced(layer: int) -> Callable[..., tuple[Tensor]]:
            return lambda _, args: (mean.at(layer, args[0]).expand_as(args[0]),)

        return [
            vision.encoder.layers[layer].layer_norm1.register_forward_pre_hook(replaced(layer))
            for layer in sorted(point.layers)
        ]

    return put


def confusing(point: Point, mean: Means) -> Hook:
    """The skip of a block carries the mean, its attention reads the picture's stream."""

    def put(vision: Any) -> list[Any]:
        block = vision.encoder.layers[point.first]
        real: list[Tensor] = []

        def swap(_: nn.Module, args: Any) -> Any:
            real[:] = [args[0]]
            return (mean.at(point.first, args[0]).expand_as(args[0]), *args[1:])

        return [
            block.register_forward_pre_hook(swap),
            block.layer_norm1.register_forward_pre_hook(lambda _, args: (real[0],)),
        ]

    return put


def isolating(layer: int, head: int, size: int) -> Hook:
    """One head of a block is left. size: width of a head."""

    def put(vision: Any) -> list[Any]:
        def only(_: nn.Module, args: Any) -> Any:
            heads = torch.zeros_like(args[0])
            own = slice(head * size, (head + 1) * size)
            heads[..., own] = args[0][..., own]
            return (heads,)

        return [vision.encoder.layers[layer].self_attn.projection.register_forward_pre_hook(only)]

    return put


def written(checkpoint: Any, processor: Any, inputs: Mapping[str, Tensor], settings: Decoding) -> list[str]:
    """The captions that the checkpoint itself generates."""
    tokens = checkpoint.generate(
        **inputs,
        do_sample=False,
        num_beams=settings.beams,
        repetition_penalty=settings.repetition_penalty,
        length_penalty=settings.length_penalty,
        min_new_tokens=settings.min_new_tokens,
        max_new_tokens=settings.max_new_tokens,
    )
    return [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]
