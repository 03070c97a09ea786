"""Which labels are one: "Locations" and "location" always, "geolocation" too where synonyms are folded."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from functools import cache

import yaml

from vitpeel.clip.lexicon import NONE, folded
from vitpeel.errors import InputError

FILE = "synonyms.yaml"


def spelled(label: str) -> str:
    """A label in small letters and the singular, without punctuation: "Geo-locations." -> "geo location"."""
    return " ".join(folded(label)) or NONE


def meant(label: str) -> str:
    """The property that a label means, by the shipped synonyms; an unknown label means itself, `spelled`."""
    own = spelled(label)
    return _shipped().get(own, own)


def parse(text: str, source: str) -> dict[str, str]:
    """What each label, `spelled`, means.  text: YAML, a property and a list of labels; source: for messages.

    Raises InputError for a label under two properties.
    """
    given: Mapping[str, list[str]] = yaml.safe_load(text)
    found: dict[str, str] = {}
    for name, others in given.items():
        for label in (name, *others):
            if found.setdefault(spelled(label), name) != name:
                raise InputError(
                    f"{source}: {label}: under {found[spelled(label)]} and under {name}. Take one."
                )
    return found


@cache
def _shipped() -> dict[str, str]:
    return parse(importlib.resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"), FILE)
