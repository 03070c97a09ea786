"""The labels table: what each head is labelled, by whom, and how many of its texts match.

A labeller labels every head; labels that a person wrote into a CSV take their place.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vitpeel.clip import lexicon
from vitpeel.clip.head_texts import Head
from vitpeel.clip.lexicon import LONGEST, Labelled, Lexicon
from vitpeel.clip.synonyms import meant
from vitpeel.errors import InputError
from vitpeel.tables import HEAD_LABELS

HUMAN = "human"
_COLUMNS = ("model", "layer", "head", "label")
_COUNTED = (*_COLUMNS, "matches")  # of the head's texts, for the association


@dataclass(frozen=True)
class Override:
    """A person's label for a head. where: file and line; matches: None if not counted."""

    where: str
    model: str
    layer: int
    head: int
    label: str
    matches: int | None


def table(
    heads: Sequence[Head],
    descriptions: Sequence[str],
    labeller: Mapping[str, Any],
    openai: Mapping[str, Any],
    key: str | None,
    human: Sequence[Override] = (),
    words: Lexicon | None = None,
) -> tuple[pd.DataFrame, dict[str, object]]:
    """A `HEAD_LABELS` table of the heads of one model, and the labeller's own origin.

    descriptions: the list that the heads' texts were picked from. labeller: `kind` (lexicon or openai), and
    what is `asked` of a language model. openai: the settings of
    clip.labels.openai, of which the terms of asking and the file of replies are used; key: of the API. human:
    labels of any model; heads that a person labelled are not asked about. words: the lexicon, None for the
    shipped one. Raises InputError for a person's label of a head that is not there; else as the labeller.
    """
    words = words or lexicon.shipped()
    own = {(item.layer, item.head): item for item in human if item.model in {h.model for h in heads}}
    _check_heads(own, heads)
    open_heads = [head for head in heads if (head.layer, head.head) not in own]
    if labeller["kind"] == lexicon.NAME:
        rates = words.rates(descriptions)
        found = [words.label(head.texts, rates) for head in open_heads]
        origin = lexicon.origin(words)
    else:
        from vitpeel.clip import labelling
        from vitpeel.judge.asking import Terms

        asked, replies = labelling.Asked(**labeller["asked"]), Path(openai["replies"])
        found = labelling.label(open_heads, asked, Terms.among(openai), replies, key)
        origin = labelling.origin(asked)
    labelled = dict(zip(open_heads, found, strict=True))
    rows = [
        _row(head, labelled[head], str(labeller["kind"]))
        if head in labelled
        else _by_hand(head, own[head.layer, head.head], words)
        for head in heads
    ]
    columns = pd.DataFrame(rows, columns=HEAD_LABELS.names)
    kinds = {"layer": "int16", "head": "int16", "matches": "Int16", "texts": "int16"}
    return columns.astype(kinds), {**origin, "by hand": len(own)}


def grid(labels: pd.DataFrame, texts: pd.DataFrame) -> pd.DataFrame:
    """The labels, each with the head's first text as column `text`.  texts: a `HEAD_TEXTS` table."""
    place = ["model", "layer", "head"]
    first = texts.loc[texts["rank"] == 1, [*place, "text"]]
    return labels.merge(first, on=place, validate="one_to_one")


def overrides(path: Path, models: Sequence[str]) -> tuple[Override, ...]:
    """The labels that a person wrote: columns model, layer, head, label, and matches if they were counted.

    models: those of the run. Raises InputError, with file and line, for what cannot be understood.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: the labels cannot be read ({error}). Save them as CSV in UTF-8, or set "
            "clip.labels.overrides to null."
        ) from error
    reader = csv.reader(text.splitlines())
    header = tuple(name.strip() for name in next(reader, []))
    if header not in (_COLUMNS, _COUNTED):
        wanted = ",".join(_COLUMNS)
        raise InputError(
            f"{path}: line 1: the columns are {','.join(header)}. Write {wanted}, or {wanted},matches."
        )
    found: dict[tuple[str, int, int], Override] = {}
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        item = _override(
            [cell.strip() for cell in cells], len(header), f"{path}: line {reader.line_num}", models
        )
        key = (item.model, item.layer, item.head)
        if key in found:
            raise InputError(f"{item.where}: this head has a label already, on another line. Take one out.")
        found[key] = item
    return tuple(found.values())


def _override(cells: Sequence[str], columns: int, where: str, models: Sequence[str]) -> Override:
    if len(cells) != columns:
        raise InputError(f"{where}: {len(cells)} cells where {columns} belong. Quote a label with a comma.")
    model, layer, head, label, *matches = cells
    if model not in models:
        raise InputError(f"{where}: {model}: no model of this run. There are: {', '.join(models)}.")
    numbers = {"layer": layer, "head": head, **({"matches": matches[0]} if matches and matches[0] else {})}
    for name, number in numbers.items():
        if not (number.isascii() and number.isdigit()):
            raise InputError(f"{where}: {name} {number!r} is no whole number. Count from 0.")
    label = " ".join(label.split())
    if not 0 < len(label) <= LONGEST:
        raise InputError(f"{where}: the label has {len(label)} characters. Write 1 to {LONGEST}.")
    counted = int(numbers["matches"]) if "matches" in numbers else None
    return Override(where, model, int(layer), int(head), label, counted)


def _check_heads(own: Mapping[tuple[int, int], Override], heads: Sequence[Head]) -> None:
    known = {(head.layer, head.head): head for head in heads}
    for place, item in own.items():
        if place not in known:
            layers = sorted({layer for layer, _ in known})
            most = max((number for layer, number in known if layer == item.layer), default=None)
            there = f"heads 0 to {most} of it" if most is not None else f"layers {layers[0]} to {layers[-1]}"
            raise InputError(
                f"{item.where}: head {item.head} of layer {item.layer} of {item.model} has no texts in this "
                f"run; {there} have."
            )
        count = len(known[place].texts)
        if item.matches is not None and item.matches > count:
            raise InputError(f"{item.where}: {item.matches} texts match, but the head has {count}.")


def _row(head: Head, found: Labelled, source: str) -> tuple[object, ...]:
    place = (head.model, head.layer, head.head)
    return (*place, found.label, source, sum(found.matches), len(head.texts))


def _by_hand(head: Head, item: Override, words: Lexicon) -> tuple[object, ...]:
    counted = item.matches
    if counted is None:
        # A person's "colour" is the lexicon's "colors", which can say which texts have it.
        property_name = meant(item.label)
        having = (False,) if property_name == lexicon.NONE else words.matches(property_name, head.texts)
        counted = None if having is None else sum(having)
    return (head.model, head.layer, head.head, item.label, HUMAN, counted, len(head.texts))
