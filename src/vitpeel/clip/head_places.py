"""Which heads are meant: a place is (layer, head), a property is all the places that a label has.

Labels come from a `tables.HEAD_LABELS` table. Capital letters and plurals do not tell labels apart, synonyms
do; `none` is the label of a head without a property, and no property.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from vitpeel.clip.lexicon import NONE
from vitpeel.clip.synonyms import spelled
from vitpeel.errors import InputError

Place = tuple[int, int]


def named(places: Sequence[Place]) -> str:
    """As CLIP-InterpreT writes them, in order: "L10.H1 L11.H3"."""
    return " ".join(f"L{layer}.H{head}" for layer, head in sorted(places))


def all_heads(layers: Sequence[int], heads: int) -> tuple[Place, ...]:
    """Every head of these layers.  heads: of a layer."""
    return tuple((layer, head) for layer in layers for head in range(heads))


def properties(labels: pd.DataFrame, model: str) -> dict[str, tuple[Place, ...]]:
    """Every property that heads of a model have, as its first head spells it, and its heads in order."""
    own = labels[labels["model"] == model].sort_values(["layer", "head"])
    shown: dict[str, str] = {}
    found: dict[str, tuple[Place, ...]] = {}
    for layer, head, label in own[["layer", "head", "label"]].itertuples(index=False):
        if (name := spelled(label)) != NONE:
            key = shown.setdefault(name, label)
            found[key] = (*found.get(key, ()), (int(layer), int(head)))
    return found


def with_property(labels: pd.DataFrame, model: str, name: str) -> tuple[Place, ...]:
    """The heads of a model that have this label.  Raises InputError, with the labels there are, for none."""
    found = properties(labels, model)
    for label, places in found.items():
        if spelled(label) == spelled(name):
            return places
    there = ", ".join(sorted(found)) if found else "none of its heads has one"
    raise InputError(
        f"{model}: no head is labelled {name!r}. Take one of the labels that heads have: {there}."
    )


def label_of(labels: pd.DataFrame, model: str, place: Place) -> str:
    """What a head of a model is labelled.  Raises InputError for a head that is not in the table."""
    own = labels[labels["model"] == model]
    at: Mapping[Place, str] = {
        (int(layer), int(head)): label
        for layer, head, label in own[["layer", "head", "label"]].itertuples(index=False)
    }
    if place not in at:
        raise InputError(f"{model}: {named([place])} has no label; {_there(tuple(at))} have.")
    return str(at[place])


def checked(places: Sequence[Place], layers: Sequence[int], heads: int) -> tuple[Place, ...]:
    """The places in order, each once.  Raises InputError for none, or for one that is not there."""
    there = all_heads(layers, heads)
    if not places:
        raise InputError(f"no head is named. Name some of {_there(there)}, as layer and head.")
    for place in places:
        if place not in there:
            raise InputError(f"{named([place])}: no such head here; {_there(there)} are there.")
    return tuple(sorted(set(places)))


def _there(places: Sequence[Place]) -> str:
    """The first and the last of the heads there are."""
    return f"{named([min(places)])} to {named([max(places)])}" if places else "no heads"
