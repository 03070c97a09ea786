"""Z^l -> sentences (section 3.5): readout, Q-Former with the prompt, T5 with the prompt, in large batches.

A row is the stream of one picture at one layer of one variant; the captioner does not care which. It reads
rows from any iterable, from a sweep or from a cache of residuals, as it has room for them, so memory does
not grow with their number.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from vitpeel.decoding import GRAIN, Sentence, decode
from vitpeel.t5 import T5

if TYPE_CHECKING:
    from vitpeel.config import Decoding

Key = TypeVar("Key", bound=Hashable)

# Bitwise equal rows come from variants of one picture, so they are near each other; this many are remembered.
REMEMBERED = 65_536
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Caption(Generic[Key]):
    """A row's caption; tokens counts word pieces without the end; truncated where max_new_tokens cut it."""

    key: Key
    text: str
    tokens: int
    truncated: bool


@dataclass(frozen=True)
class Captioner:
    """The parts of a captioner behind the trunk.

    readout: [n, tokens, width] -> same, what is done to Z^l first; queries: [n, tokens, width] -> [n, q,
    d_model], Q-Former and projection, which knows the prompt; prompt: [S, d_model], the embedded T5 prompt
    with room for the queries where image is True ([S]); speak: word numbers -> text.
    """

    readout: Callable[[Tensor], Tensor]
    queries: Callable[[Tensor], Tensor]
    prompt: Tensor
    image: Tensor
    t5: T5
    speak: Callable[[Iterable[int]], str]

    def encode(self, z: Tensor) -> Tensor:
        """Z^l to the T5 encoder's output.  [n, tokens, width] -> [n, S, d_model]."""
        count = len(z)
        if count < GRAIN:  # fewer rows would be rounded differently: see decoding.GRAIN
            z = torch.cat([z, z[-1:].expand(GRAIN - count, -1, -1)])
        x = self.prompt.repeat(len(z), 1, 1)
        x[:, self.image] = self.queries(self.readout(z)).to(x.dtype)
        return self.t5.encode(x)[:count]

    @torch.inference_mode()
    def caption(
        self, rows: Iterable[tuple[Key, Tensor]], decoding: Decoding, batch: int
    ) -> Iterator[Caption[Key]]:
        """Caption rows of (key, Z [tokens, width]); captions come in the rows' order.

        batch: rows decoded at a time. Bitwise equal rows are decoded once. Neither the batch nor the order
        changes a caption.
        """
        incoming = iter(rows)
        # rows read and not yet answered, in order, each with the place where its sentence will appear
        waiting: deque[tuple[Key, list[Sentence]]] = deque()
        known: OrderedDict[tuple[int, ...], list[Sentence]] = OrderedDict()
        places: dict[int, list[Sentence]] = {}  # of the rows being decoded, by their number
        numbers = itertools.count()

        def encoded(room: int) -> Tensor:
            distinct: list[Tensor] = []
            while len(distinct) < room and (row := next(incoming, None)) is not None:
                key, z = row
                digest = _digest(z)
                if digest not in known:
                    known[digest] = places[next(numbers)] = []
                    distinct.append(z)
                    if len(known) > REMEMBERED:
                        known.popitem(last=False)
                waiting.append((key, known[digest]))
            if not distinct:
                return self.prompt.new_empty(0, *self.prompt.shape)
            return self.encode(torch.stack(distinct).to(self.prompt.device))

        for number, sentence in decode(self.t5, encoded, decoding, batch):
            places.pop(number).append(sentence)
            while waiting and waiting[0][1]:
                yield self._caption(*waiting.popleft())
        yield from (self._caption(key, place) for key, place in waiting)

    def _caption(self, key: Key, place: list[Sentence]) -> Caption[Key]:
        (sentence,) = place
        return Caption(key, self.speak(sentence.words), len(sentence.words), sentence.truncated)


def _digest(z: Tensor) -> tuple[int, ...]:
    """Equal for bitwise equal streams, and for others with a chance of about 2^-64.  z: [tokens, width].

    Two random linear forms over the integers modulo 2^64, computed where the stream lies: copying it to the
    host and hashing it there would take longer than captioning it on a GPU.
    """
    bits = z.contiguous().view(_INTEGERS[z.element_size()]).flatten().long()
    found: list[int] = (_forms(len(bits), z.device) * bits).sum(1).tolist()
    return tuple(found)


@cache
def _forms(size: int, device: torch.device) -> Tensor:
    """[2, size], odd coefficients below 2^63 in size."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(-(2**62), 2**62, (2, size), generator=generator)
    return (2 * drawn + 1).to(device)
