"""Greedy and beam search over a `T5`, in a batch that rows leave as they finish and others join.

Chooses exactly as transformers' `generate` does for one row with `do_sample=False` and
`early_stopping=False`: repetition penalty first (on logits when greedy, on log-probabilities with beams),
then the minimum length; finished beams are ranked by the length penalty. Every row has its own age, so a
batch mixes rows that have just begun with rows about to end, and a rambling row holds nobody up.

Shapes: R slots, each free or decoding one row, B beams, T steps, S source tokens, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vitpeel.t5 import T5, Cache

if TYPE_CHECKING:
    from vitpeel.config import Decoding

# Attention spans grow in steps of GRAIN and a batch never has fewer slots: below that the CPU's matrix
# kernels round a row differently according to what else is in its batch, and captions would hang on their
# neighbours.
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
    first = encoded(slots)
    if not len(first):
        return
    batch = Batch.empty(t5, max(slots, GRAIN), settings.beams, first.shape[1])
    batch.admit(t5, first)
    more = len(first) == slots
    while more or batch.busy:
        wanted = slots - batch.busy
        if more and wanted >= max(1, slots // 4):
            arrivals = encoded(wanted)
            batch.admit(t5, arrivals)
            more = len(arrivals) == wanted
        if not more:
            batch.narrow()
        if batch.busy:
            yield from batch.advance(t5, settings)


@dataclass
class Batch:
    """R slots and all that decoding them needs, overwritten in place."""

    row: Tensor  # [R] number of the row in the slot, -1 when free
    age: Tensor  # [R] words chosen so far
    words: (
        Tensor  # [R, B, T] what each beam has said: the start, `age` words, then the start again as filling
    )
    ancestors: Tensor  # [R, B, T] the beam that wrote step t of this beam's past, -1 where there is none
    scores: Tensor  # [R, B] log-probability of each beam
    ended_words: Tensor  # [R, B, T] the best sentences that have ended, best first
    ended_scores: Tensor  # [R, B] their log-probability over length ** length_penalty
    ended: Tensor  # [R, B] whether there is such a sentence
    cache: Cache
    arrived: int = 0
    busy: int = 0
    oldest: int = 0

    @classmethod
    def empty(cls, t5: T5, rows: int, beams: int, source_tokens: int) -> Batch:
        """All slots free."""
        new = t5.embedding.new_zeros
        return cls(
            row=new(rows, dtype=torch.int64) - 1,
            age=new(rows, dtype=torch.int64),
            words=new((rows, beams, GRAIN), dtype=torch.int64) + t5.start,
            ancestors=new((rows, beams, GRAIN), dtype=torch.int8) - 1,
            scores=new((rows, beams), dtype=torch.float32),
            ended_words=new((rows, beams, GRAIN), dtype=torch.int64) + t5.start,
            ended_scores=new((rows, beams), dtype=torch.float32),
            ended=new((rows, beams), dtype=torch.bool),
            cache=t5.empty_cache(rows, beams, GRAIN, source_tokens),
        )

    def admit(self, t5: T5, encoded: Tensor) -> None:
        """Put new rows into free slots.  encoded: [n, S, d_model], n at most the number of free slots."""
        count = len(encoded)
        slots = (self.row < 0).nonzero()[:count, 0]
        self.row[slots] = torch.arange(self.arrived, self.arrived + count, device=slots.device)
        self.age[slots] = 0
        self.words[slots] = t5.start
        self.ancestors[slots] = -1
        # all beams begin alike: only the first may speak, or they would say the same thing five times
        self.scores[slots] = NEVER
        self.scores[slots, 0] = 0.0
        self.ended_words[slots] = t5.start
        self.ended_scores[slots] = NEVER
        self.ended[slots] = False
        for source, new in zip(self.cache.source, t5.source(encoded), strict=True):
            source[slots] = new
        self.arrived += count
        self.busy += count

    def narrow(self) -> None:
        """Halve the slots while at most half of them are busy: for the end, when nobody waits for a slot."""
        size = len(self.row)
        while size // 2 >= max(self.busy, GRAIN):
            size //= 2
        if size < len(self.row):
            self._select((self.row < 0).int().argsort(stable=True)[:size])

    def advance(self, t5: T5, settings: Decoding) -> Iterator[tuple[int, Sentence]]:
        """One word more for every busy slot; hands out the rows that finish by it and frees their slots."""
        if self.oldest + 2 > self.words.shape[-1]:
            self._lengthen(t5.start)
        rows, beams, _ = self.words.shape
        span = -(-(self.oldest + 1) // GRAIN) * GRAIN
        now = self.age[:, None, None].expand(-1, beams, 1)
        self.ancestors.scatter_(
            2, now, torch.arange(beams, device=now.device).to(torch.int8)[:, None].expand(rows, -1, 1)
        )
        logits = t5.step(
            self.words.gather(2, now).squeeze(2), self.age, self.ancestors[..., :span], self.cache
        )
        choose = _choose_greedily if beams == 1 else _choose_beams
        finished = choose(self, logits.float(), span, t5.end, settings) & (self.row >= 0)
        self.oldest += 1
        if finished.any():
            slots = finished.nonzero()[:, 0]
            best = self.ended_words[slots, 0, 1:].tolist()
            for row, age, words in zip(self.row[slots].tolist(), self.age[slots].tolist(), best, strict=True):
                yield row, _sentence(words[:age], t5.end)
            self.row[slots] = -1
            self.busy -= len(slots)
        self.age[self.row < 0] = 0
        self.oldest = int(self.age.max())

    def _select(self, slots: Tensor) -> None:
        """Keep these slots alone."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                setattr(self, field.name, value[slots])
        self.cache = Cache(
            [own[slots] for own in self.cache.own], [source[slots] for source in self.cache.source]
        )

    def _lengthen(self, start: int) -> None:
        """Double T."""
        self.words = torch.cat([self.words, torch.full_like(self.words, start)], dim=2)
        self.ancestors = torch.cat([self.ancestors, torch.full_like(self.ancestors, -1)], dim=2)
        self.ended_words = torch.cat([self.ended_words, torch.full_like(self.ended_words, start)], dim=2)
        self.cache.own = [torch.cat([own, torch.zeros_like(own)], dim=1) for own in self.cache.own]


def _choose_greedily(batch: Batch, logits: Tensor, span: int, end: int, settings: Decoding) -> Tensor:
    """The likeliest word for every slot; whether its sentence is over, [R].  logits: [R, 1, V]."""
    word = _constrain(logits, batch, span, end, settings).argmax(-1)
    batch.age = batch.age + 1
    batch.words.scatter_(2, batch.age[:, None, None], word[..., None])
    batch.ended_words = batch.words
    over: Tensor = (word[:, 0] == end) | (batch.age >= settings.max_new_tokens)
    return over


def _choose_beams(batch: Batch, logits: Tensor, span: int, end: int, settings: Decoding) -> Tensor:
    """The best B continuations of every slot; whether its search is over, [R].  logits: [R, B, V]."""
    _, beams, vocabulary = logits.shape
    totals = _constrain(logits.log_softmax(-1), batch, span, end, settings) + batch.scores[..., None]
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
    batch.ancestors = _pick(batch.ancestors, parent.gather(1, place))

    # over when B sentences have ended and even the best open beam, were it to end now, would not beat the
    # worst of them
    worst = torch.where(batch.ended, batch.ended_scores[:, -1:], NEVER)
    over: Tensor = (batch.scores[:, :1] / length <= worst).all(1) | last[:, 0]
    return over


def _constrain(scores: Tensor, batch: Batch, span: int, end: int, settings: Decoding) -> Tensor:
    """The repetition penalty, for which the start counts as said, then no end before min_new_tokens.

    scores, returned: [R, B, V].
    """
    said = batch.words[..., :span]
    score = scores.gather(2, said)
    penalty = settings.repetition_penalty
    scores = scores.scatter(2, said, torch.where(score < 0, score * penalty, score / penalty))
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
