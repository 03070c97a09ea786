"""From pydantic's errors to lines for the user: key, value, nearest valid key, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from vitpeel.config.checks import FAULT, nearest
from vitpeel.config.keys import ANY_NAME, Key, keys


def explain(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any]) -> list[str]:
    """One line for every key at fault, in the order of the configuration's keys."""
    known = {key.path: key for key in keys(model)}
    lines: dict[tuple[str | int, ...], str] = {}
    found = error.errors()
    for fault in found:
        # pydantic does not count faulty members of a list: it is then too short as well.
        if fault["type"] == "too_short" and any(
            len(other["loc"]) > len(fault["loc"]) and other["loc"][: len(fault["loc"])] == fault["loc"]
            for other in found
        ):
            continue
        # Left out: pydantic's mark of a faulty key, its names for the members of a union.
        place = tuple(p for p in fault["loc"] if isinstance(p, int) or (p != "[key]" and "[" not in p))
        place = _up_to_value(place, known)
        lines.setdefault(place, _line(place, fault, known, raw))
    return list(lines.values())


def _line(place: tuple[str | int, ...], fault: Any, known: Mapping[tuple[str, ...], Key], raw: Any) -> str:
    path, kind, where = _names(place), fault["type"], _dotted(place)
    own = _known_path(path, known)
    key = known.get(own)
    if kind == FAULT:
        return f"{where}: {fault['msg']}"
    if kind == "extra_forbidden":
        return f"{where}: unknown key. {_meant(path, known)}"
    section = key is None or key.section  # without a key of its own: a name behind datasets.<name>
    if kind == "missing" and place == fault["loc"]:
        if key is None or section:
            return f"{where}: this section is missing. {_inside(own, known)}"
        return f"{where}: missing. Write {key.allowed}. {key.description}"
    value = _shown(_value(raw, place))
    if key is None or section:
        return f"{where}: {value} is not allowed; a section is needed. {_inside(own, known)}"
    hint = _quotes(fault["input"], kind)
    return f"{where}: {value} is not allowed; write {key.allowed}.{hint} {key.description}"


def _up_to_value(place: tuple[str | int, ...], known: Mapping[tuple[str, ...], Key]) -> tuple[str | int, ...]:
    """The place without what follows a key that holds a value: places inside it, members of its type."""
    starts = [place[:length] for length in range(1, len(place) + 1)]
    keys_at = ((start, known.get(_known_path(_names(start), known))) for start in starts)
    values = (start for start, key in keys_at if key is not None and not key.section)
    return next(values, place)


def _names(place: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys on the way, without positions in lists."""
    return tuple(part for part in place if isinstance(part, str))


def _dotted(place: tuple[str | int, ...]) -> str:
    """As messages write it: figures.fig1.images, clip.analyses.texts[0].head."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _known_path(path: tuple[str, ...], known: Mapping[tuple[str, ...], Key]) -> tuple[str, ...]:
    """The path with freely chosen names replaced by their placeholder."""
    own: tuple[str, ...] = ()
    for part in path:
        free = any(other[: len(own) + 1] == (*own, ANY_NAME) for other in known)
        own = (*own, ANY_NAME if free else part)
    return own


def _meant(path: tuple[str, ...], known: Mapping[tuple[str, ...], Key]) -> str:
    """Did you mean ...: the nearest key beside this one, else one of nearly this name elsewhere."""
    *parents, word = path
    inside = _known_path(tuple(parents), known)
    beside = {other[-1]: other for other in known if other[:-1] == inside}
    elsewhere = {other[-1]: other for other in known}
    near = None if word in elsewhere else nearest(word, beside)  # a key's very name, only misplaced
    if near is None:
        near = nearest(word, elsewhere)
        if near is None:
            return _inside(inside, known)
        found = known[elsewhere[near]]
        return f"Did you mean {found.dotted}? ({found.allowed}) {_inside(inside, known)}"
    found = known[beside[near]]
    return f"Did you mean {'.'.join([*parents, near])}? ({found.allowed})"


def _inside(section: tuple[str, ...], known: Mapping[tuple[str, ...], Key]) -> str:
    """Which keys are allowed in a section."""
    found = [other[-1] for other in known if other[:-1] == section]
    if not found:
        return (
            f"Below {'.'.join(section)} come names of your choice, each a section: {_first(section, known)}."
        )
    return f"Allowed {'in ' + '.'.join(section) if section else 'at the top'}: {', '.join(found)}."


def _first(section: tuple[str, ...], known: Mapping[tuple[str, ...], Key]) -> str:
    return ", ".join(other[-1] for other in known if other[:-1] == (*section, ANY_NAME))


def _value(raw: Any, at: Sequence[str | int]) -> Any:
    """The configured value at a location, as far down as it goes."""
    for part in at:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return raw
    return raw


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _quotes(value: Any, kind: str) -> str:
    """A hint for numbers and switches that were written as text, and the other way round."""
    if isinstance(value, str) and kind in ("int_type", "float_type", "bool_type"):
        return " Without quotes." if _is_number(value) or value in ("true", "false") else ""
    return " In quotes." if kind == "string_type" and isinstance(value, int | float) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
