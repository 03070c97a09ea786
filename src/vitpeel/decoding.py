"""Greedy and beam search over a `T5`, in a batch that rows leave as they finish and others join.

Chooses exactly as transformers' `generate` does for one row with `do_sample=False` and
`early_stopping=False`: repetition penalty first (on logits when greedy, on log-probabilities with beams),
then the minimum length; finished beams are ranked by the length penalty.

Every row has its own age, so one batch holds rows that have just begun beside rows about to end. The few
that ramble past the batch's span are set aside and finished together, so that they hold nobody up.

Shapes: R slots, each free or decoding one row, B beams, T steps, S source tokens, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitpeel.t5 import T5, Cache

if TYPE_CHECKING:
    from vitpeel.config import Decoding

# A batch has at least this many slots, and its span is a multiple of it: with less, the CPU's matrix kernels
# round a row differently according to what else is in its batch, and captions would hang on their neighbours.
GRAIN = 16
NEVER = -1.0e9


@dataclass(frozen=True)
class Sentence:
    """Word pieces without start and end; truncated where max_new_tokens came before the end."""

    words: tuple[int, ...]
    truncated: bool


def decode(
    t5: T5, encoded: Callable[[int], Tensor], settings: Decoding, slots: int
) -> Iterator[tuple[int, Sentence]]:
    """Decode every row that `encoded` hands out; yields (row's number from 0, sentence) as rows finish.

    encoded(n): the next n rows of encoder output, [n, S, d_model], fewer than n only when there are no more.
    slots: how many rows are decoded at a time; rows are fetched when a quarter of the slots is free.
    """
    arrivals = encoded(slots)
    if not len(arrivals):
        return
    batch = Batch.empty(t5, max(slots, GRAIN), settings.beams, arrivals.shape[1])
    batch.admit(t5, arrivals)
    more = len(arrivals) == slots
    ramblers: list[Batch] = []
    while more or batch.busy:
        free = slots - batch.busy
        if more and free >= max(1, slots // 4):
            arrivals = encoded(free)
            batch.admit(t5, arrivals)
            more = len(arrivals) == free
        if not more:
            batch.narrow()
        yield from batch.advance(t5, settings)
        ramblers += batch.outgrown()
        if sum(rambler.busy for rambler in ramblers) >= slots:
            yield from _finish(t5, ramblers, settings)
            ramblers = []
    if ramblers:
        yield from _finish(t5, ramblers, settings)


def _finish(t5: T5, ramblers: list[Batch], settings: Decoding) -> Iterator[tuple[int, Sentence]]:
    """Decode rows of the same age to their end."""
    batch = Batch.joined(ramblers)
    while batch.busy:
        batch.narrow()
        if (batch.age == batch.span).any():
            batch.lengthen(t5.start)
        yield from batch.advance(t5, settings)


@dataclass
class Batch:
    """R slots and all that decoding them needs, overwritten in place."""

    row: Tensor  # [R] number of the row in the slot, -1 when free
    age: Tensor  # [R] words chosen so far, at most T
    words: Tensor  # [R, B, T + 1] what each beam has said: the start, `age` words, then the start as filling
    scores: Tensor  # [R, B] log-probability of each beam
    ended_words: Tensor  # [R, B, T + 1] the best sentences that have ended, best first
    ended_scores: Tensor  # [R, B] their log-probability over length ** length_penalty
    ended: Tensor  # [R, B] whether there is such a sentence
    cache: Cache
    arrived: int = 0  # rows admitted so far

    @property
    def busy(self) -> int:
        """Slots that are decoding a row."""
        return int((self.row >= 0).sum())

    @property
    def span(self) -> int:
        """T, the age up to which there is room."""
        return self.words.shape[2] - 1

    @classmethod
    def empty(cls, t5: T5, rows: int, beams: int, source_tokens: int) -> Batch:
        """All slots free, T one grain."""
        new = t5.embedding.new_zeros
        return cls(
            row=new(rows, dtype=torch.int64) - 1,
            age=new(rows, dtype=torch.int64),
            words=new((rows, beams, GRAIN + 1), dtype=torch.int64) + t5.start,
            scores=new((rows, beams), dtype=torch.float32),
            ended_words=new((rows, beams, GRAIN + 1), dtype=torch.int64) + t5.start,
            ended_scores=new((rows, beams), dtype=torch.float32),
            ended=new((rows, beams), dtype=torch.bool),
            cache=t5.empty_cache(rows, beams, GRAIN * beams, source_tokens),
        )

    @classmethod
    def joined(cls, batches: list[Batch]) -> Batch:
        """One batch of all their slots, and of free ones up to a grain; they must agree in T and K."""
        tensors: Any = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in PER_SLOT}
        batch = cls(**tensors, cache=Cache.joined([batch.cache for batch in batches]))
        rows = len(batch.row)
        if rows < GRAIN:
            batch = batch._selected(torch.arange(GRAIN, device=batch.row.device) % rows)
            batch._free(torch.arange(rows, GRAIN, device=batch.row.device))
        return batch

    def admit(self, t5: T5, encoded: Tensor) -> None:
        """Put new rows into free slots.  encoded: [n, S, d_model], n at most the number of free slots."""
        count = len(encoded)
        if not count:
            return
        slots = (self.row < 0).nonzero()[:count, 0]
        self.row[slots] = torch.arange(self.arrived, self.arrived + count, device=slots.device)
        self.age[slots] = 0
        self.words[slots] = t5.start
        # all beams begin alike: only the first may speak, or they would all say the same
        self.scores[slots] = NEVER
        self.scores[slots, 0] = 0.0
        self.ended_words[slots] = t5.start
        self.ended_scores[slots] = NEVER
        self.ended[slots] = False
        self.cache.admit(slots, t5.source(encoded))
        self.arrived += count

    def advance(self, t5: T5, settings: Decoding) -> Iterator[tuple[int, Sentence]]:
        """One word more for every busy slot; hands out the rows that finish by it and frees their slots."""
        last_words = self.words.gather(2, self.age[:, None, None].expand_as(self.words[..., :1])).squeeze(2)
        logits = t5.step(last_words, self.age, self.cache)
        choose = _choose_greedily if last_words.shape[1] == 1 else _choose_beams
        over = choose(self, logits.float(), t5.end, settings) & (self.row >= 0)
        slots = over.nonzero()[:, 0]
        best = self.ended_words[slots, 0, 1:].tolist()
        for row, age, words in zip(self.row[slots].tolist(), self.age[slots].tolist(), best, strict=True):
            yield row, _sentence(words[:age], t5.end)
        self._free(slots)

    def outgrown(self) -> list[Batch]:
        """Rows that have filled the span and are not over, taken out of their slots; one batch or none."""
        slots = (self.age == self.span).nonzero()[:, 0]
        if not len(slots):
            return []
        taken = self._selected(slots)
        self._free(slots)
        return [taken]

    def narrow(self) -> None:
        """Drop free slots once a quarter is free: for the end, when no row waits for one."""
        size = max(-(-self.busy // GRAIN), 1) * GRAIN
        if size <= len(self.row) * 3 // 4:
            kept = self._selected((self.row < 0).int().argsort(dim=0, stable=True)[:size])
            self.__dict__.update(kept.__dict__)

    def lengthen(self, start: int) -> None:
        """One grain more of T."""
        self.words = F.pad(self.words, (0, GRAIN), value=start)
        self.ended_words = F.pad(self.ended_words, (0, GRAIN), value=start)
        self.cache.drop_dead(GRAIN * self.words.shape[1], GRAIN)

    def _free(self, slots: Tensor) -> None:
        """Free slots keep being computed, always at age 0, and are never read."""
        self.row[slots] = -1
        free = self.row < 0
        self.age[free] = 0
        self.cache.clear(free)

    def _selected(self, slots: Tensor) -> Batch:
        """A copy of these slots alone."""
        tensors: Any = {name: getattr(self, name)[slots] for name in PER_SLOT}
        return Batch(**tensors, cache=self.cache.selected(slots), arrived=self.arrived)


PER_SLOT = ("row", "age", "words", "scores", "ended_words", "ended_scores", "ended")


def _choose_greedily(batch: Batch, logits: Tensor, end: int, settings: Decoding) -> Tensor:
    """The likeliest word for every slot; whether its sentence is over, [R].  logits: [R, 1, V]."""
    word = _constrain(logits, batch, end, settings).argmax(-1)
    batch.age = batch.age + 1
    batch.words.scatter_(2, batch.age[:, None, None], word[..., None])
    batch.ended_words = batch.words
    over: Tensor = (word[:, 0] == end) | (batch.age >= settings.max_new_tokens)
    return over


def _choose_beams(batch: Batch, logits: Tensor, end: int, settings: Decoding) -> Tensor:
    """The best B continuations of every slot; whether its search is over, [R].  logits: [R, B, V]."""
    _, beams, vocabulary = logits.shape
    totals = _constrain(logits.log_softmax(-1), batch, end, settings) + batch.scores[..., None]
    # twice as many as beams: at most B of them end, so B remain to go on with
    totals, flat = totals.flatten(1).topk(2 * beams)
    parent, word = flat // vocabulary, flat % vocabulary
    batch.age = batch.age + 1
    candidates = _pick(batch.words, parent)
    candidates.scatter_(2, batch.age[:, None, None].expand(-1, 2 * beams, 1), word[..., None])
    last = (batch.age >= settings.max_new_tokens)[:, None]
    ends = (word == end) | last

    # sentences that end here take their place among those that have ended, if they are among the best B
    # candidates
    length = batch.age[:, None].double().pow(settings.length_penalty).float()
    ending = ends.clone()
    ending[:, beams:] = False
    ended_scores = torch.cat([batch.ended_scores, totals / length + ~ending * NEVER], dim=1)
    batch.ended_scores, place = ended_scores.topk(beams)
    batch.ended_words = _pick(torch.cat([batch.ended_words, candidates], dim=1), place)
    batch.ended = torch.cat([batch.ended, ending], dim=1).gather(1, place)

    batch.scores, place = (totals + ends * NEVER).topk(beams)
    batch.words = _pick(candidates, place)
    batch.cache.past = _pick(batch.cache.past, parent.gather(1, place))

    # over when B sentences have ended and even the best open beam, were it to end now, would not beat the
    # worst of them
    worst = torch.where(batch.ended, batch.ended_scores[:, -1:], NEVER)
    over: Tensor = (batch.scores[:, :1] / length <= worst).all(1) | last[:, 0]
    return over


def _constrain(scores: Tensor, batch: Batch, end: int, settings: Decoding) -> Tensor:
    """The repetition penalty, for which the start counts as said, then no end before min_new_tokens.

    scores, returned: [R, B, V].
    """
    score = scores.gather(2, batch.words)
    penalty = settings.repetition_penalty
    scores = scores.scatter(2, batch.words, torch.where(score < 0, score * penalty, score / penalty))
    scores[..., end].masked_fill_((batch.age < settings.min_new_tokens)[:, None], -torch.inf)
    return scores


def _pick(values: Tensor, beams: Tensor) -> Tensor:
    """values: [R, m, T], beams: [R, n] numbers below m -> [R, n, T]."""
    return values.gather(1, beams[..., None].expand(-1, -1, values.shape[2]))


def _sentence(words: list[int], end: int) -> Sentence:
    """The words up to the end, if it came."""
    if end in words:
        return Sentence(tuple(words[: words.index(end)]), truncated=False)
    return Sentence(tuple(words), truncated=True)
