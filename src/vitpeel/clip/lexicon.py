"""The offline labeller, `lexicon`: the property that tells a head's texts from others, by lists of words.

No language model takes part in it, and its labels must never be shown as one's. The properties and their
words are in `properties.yaml`; a text has every property of which it holds a word.

A head's label is the property that is hardest to explain by chance: of so many texts drawn from all
descriptions, at least as many would have it with the least probability (a binomial tail). The plain majority
would label most heads with what most descriptions speak of: every fourth of the 3,498 general ones is about
an atmosphere. Every text counts alike: TextSpan's ranks say how much of the head a text explains beside the
earlier ones, not how well it stands for the head. Ranks decide between equals (the property whose texts come
earlier), then the order of the file.

A property is what texts have in common, so a label needs `LEAST` texts, and more than its share of all
descriptions gives; otherwise it is `NONE`. Such a head counts in every denominator, but as neither sharing a
label nor having one of its own, and not as associated with it: a leftover is no property. A label says no
more: as in the paper an incoherent head gets one too, and `chance` says how often by lot.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from vitpeel.errors import InputError

NAME = "lexicon"
NONE = "none"  # the label of a head whose texts have nothing in common
LEAST = 2  # texts that make a label
LONGEST = 40  # characters of a label, whoever gives it
FILE = "properties.yaml"

Words = tuple[str, ...]
Rates = Mapping[str, float]  # property -> share of all descriptions that have it


@dataclass(frozen=True)
class Labelled:
    """A head's label, and which of its texts match it, in their order."""

    label: str
    matches: tuple[bool, ...]


@dataclass(frozen=True)
class Lexicon:
    """properties: in the order of the file; phrases: folded words -> the properties that they show, perhaps
    none; longest: words of the longest phrase; digest: of the file."""

    properties: tuple[str, ...]
    phrases: Mapping[Words, frozenset[str]]
    longest: int
    digest: str

    def of(self, text: str) -> frozenset[str]:
        """The properties of a text. At every word the longest phrase counts, and its words count no more."""
        words, found, at = folded(text), frozenset[str](), 0
        while at < len(words):
            for length in range(min(self.longest, len(words) - at), 0, -1):
                shown = self.phrases.get(words[at : at + length])
                if shown is not None:
                    found |= shown
                    break
            at += length
        return found

    def having(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which text has which property.  [texts, properties]."""
        own = [self.of(text) for text in texts]
        table = np.array([[name in one for name in self.properties] for one in own], dtype=bool)
        return table.reshape(len(texts), len(self.properties))

    def rates(self, descriptions: Sequence[str]) -> Rates:
        """How frequent each property is among all descriptions; never zero, as if one more text had it."""
        shares = (self.having(descriptions).sum(axis=0) + 1) / (len(descriptions) + 1)
        return dict(zip(self.properties, shares.tolist(), strict=True))

    def label(self, texts: Sequence[str], rates: Rates) -> Labelled:
        """Label a head by its texts, the first rank first.  rates: of the list that they were picked from."""
        having = self.having(texts)
        best = int(most_telling(having, tails(rates, len(texts)))) if texts else -1
        if best < 0:
            return Labelled(NONE, (False,) * len(texts))
        return Labelled(self.properties[best], tuple(having[:, best].tolist()))

    def matches(self, label: str, texts: Sequence[str]) -> tuple[bool, ...] | None:
        """Which texts have the property `label`; None for a label that is no property of this lexicon."""
        if label not in self.properties:
            return None
        return tuple(label in self.of(text) for text in texts)


def tails(rates: Rates, texts: int) -> NDArray[np.float64]:
    """How likely chance gives at least n of so many texts a property.  [texts + 1 (n), properties].

    Infinite where n makes no label: fewer than `LEAST`, or no more than the property's share.
    """
    table = np.full((texts + 1, len(rates)), np.inf)
    for place, rate in enumerate(rates.values()):
        exactly = [comb(texts, n) * rate**n * (1 - rate) ** (texts - n) for n in range(texts + 1)]
        for n in range(LEAST, texts + 1):
            if n > rate * texts:
                table[n, place] = sum(exactly[n:])
    return table


def most_telling(having: NDArray[np.bool_], tail: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place of each head's label among the properties, -1 for none.

    having: [..., texts, properties]; tail: of `tails`; returned: [...].
    """
    counts = having.sum(axis=-2)
    likely = tail[counts, np.arange(tail.shape[1])]
    least = likely.min(axis=-1, keepdims=True)
    ranks = (having * np.arange(having.shape[-2])[:, None]).sum(axis=-2)
    # the first of equals, as argmin takes it
    best = np.where(likely == least, ranks, np.iinfo(np.int64).max).argmin(axis=-1)
    return np.where(np.isinf(least[..., 0]), -1, best)


@cache
def shipped() -> Lexicon:
    """The lexicon that comes with the package."""
    text = importlib.resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return parse(text, FILE)


def read(path: Path) -> Lexicon:
    """A lexicon of the user's own.  Raises InputError for a file that is none."""
    try:
        return parse(Path(path).read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the properties cannot be read ({error}). Put the file there.") from error


def parse(text: str, source: str) -> Lexicon:
    """text: YAML, a property a key, its words as a list or between commas; under `none`, phrases that show
    nothing.  source: for messages."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML ({error}). Write `property: word, word`.") from error
    if not isinstance(given, dict) or not given:
        raise InputError(f"{source}: holds no properties. Write `property: word, word`.")
    phrases: dict[Words, frozenset[str]] = {}
    for name, listed in given.items():
        if not isinstance(name, str) or name != name.strip().lower():
            raise InputError(f"{source}: {name!r} is no name of a property. Write small letters.")
        words = listed.split(",") if isinstance(listed, str) else listed
        if not isinstance(words, list) or not words:
            raise InputError(f"{source}: {name}: has no words. Write them between commas.")
        for word in words:
            phrase = folded(str(word))
            if not phrase:
                raise InputError(f"{source}: {name}: {word!r} holds no word. Take it out.")
            shown = frozenset() if name == NONE else frozenset({name})
            phrases[phrase] = phrases.get(phrase, frozenset()) | shown
    names = tuple(name for name in given if name != NONE)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Lexicon(names, phrases, max(map(len, phrases)), digest)


def origin(lexicon: Lexicon) -> dict[str, object]:
    """What to write into the provenance of this labeller's labels."""
    return {"kind": NAME, "name": NAME, "properties": lexicon.digest}


def folded(text: str) -> Words:
    """The words in small letters, regular plurals as singulars: "Striped T-shirts" -> striped t shirt."""
    return tuple(_singular(word) for word in re.findall(r"[a-zà-ÿ0-9]+", text.lower()))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and re.search(r"(ss|x|ch|sh)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
