"""The keys of the configuration, read off its models: for messages and for the documentation."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ANY_NAME = "<name>"  # stands for a key of the user's choice


@dataclass(frozen=True)
class Key:
    """A key of the configuration.

    path: from the top, a freely chosen key as `<name>`; allowed: its values, in words; section: whether it
    holds further keys; default: as YAML, None if the key must be written.
    """

    path: tuple[str, ...]
    description: str
    allowed: str
    section: bool
    default: str | None

    @property
    def dotted(self) -> str:
        """The path as messages write it."""
        return ".".join(self.path)


def keys(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key of the model and of the models inside it, in order."""
    for name, field in model.model_fields.items():
        path = (*prefix, name)
        inner, free = _inner_model(field.annotation)
        default = None if field.is_required() else _yaml(field.default)
        text = _section_in_words(field.annotation) if inner else in_words(field.annotation, field.metadata)
        yield Key(path, field.description or "", text, inner is not None, default)
        if inner is not None:
            yield from keys(inner, (*path, ANY_NAME) if free else path)


def in_words(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """The values that a type allows, as a phrase."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return in_words(arguments[0], [*_flat(arguments[1:]), *metadata])
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part, metadata) for part in arguments)
    if origin is Literal:
        values = [_yaml(value) for value in arguments]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)}: {', '.join(in_words(part) for part in arguments)}"
    if origin is tuple:
        least = "" if not _bounds(metadata, "min_length") else ", at least one"
        most = "".join(f", at most {bound}" for bound in _bounds(metadata, "max_length"))
        return f"a list{least}{most}, each {in_words(arguments[0])}"
    if origin is dict:
        return f"a mapping from {' to '.join(in_words(part) for part in arguments)}"
    if annotation is type(None):
        return "null"
    name = {int: "an integer", float: "a number", bool: "true or false", str: "text", Path: "a path"}.get(
        annotation, str(annotation)
    )
    limits = [
        f"{word} {bound}"
        for attribute, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
        for bound in _bounds(metadata, attribute)
    ]
    return f"{name} {' and '.join(limits)}" if limits else name


def _section_in_words(annotation: Any) -> str:
    """What stands for a section: itself, a list of such, or null."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return "a section or null"
    return "a list of sections" if get_origin(annotation) is tuple else "a section"


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside, perhaps in a list or with null beside it; whether it is behind a free key."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return next(
            (found for part in get_args(annotation) if (found := _inner_model(part))[0]), (None, False)
        )
    if get_origin(annotation) is tuple:
        return _inner_model(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return _inner_model(get_args(annotation)[1])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False


def _flat(metadata: tuple[Any, ...]) -> list[Any]:
    return [item for part in metadata for item in (part.metadata if isinstance(part, FieldInfo) else [part])]


def _bounds(metadata: list[Any] | tuple[Any, ...], attribute: str) -> list[Any]:
    kinds = (
        annotated_types.Ge,
        annotated_types.Gt,
        annotated_types.Le,
        annotated_types.Lt,
        annotated_types.MinLen,
        annotated_types.MaxLen,
    )
    return [
        getattr(item, attribute) for item in metadata if isinstance(item, kinds) and hasattr(item, attribute)
    ]


def _yaml(value: Any) -> str:
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))
