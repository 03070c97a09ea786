"""What the types of the configuration cannot say: that files are there, that layers and names exist.

Each check is a pydantic validator of one key, so that a fault elsewhere does not hide this one. A `Context`
tells it where files are and what the other keys say; without one (a `Decoding` made in code) nothing is
checked.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from vitpeel import manifest

FAULT = "vitpeel_fault"  # type of the errors raised here; their message is complete
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Context:
    """root: where relative paths start; raw: the whole configuration, unchecked."""

    root: Path
    raw: Mapping[str, Any]

    def at(self, *keys: str) -> Any:
        """The raw value at these nested keys, None where there is none."""
        value: Any = self.raw
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    @property
    def cache(self) -> Path:
        """The folder of downloads, as it is written."""
        return Path(str(self.at("cache")))

    @property
    def depth(self) -> int | None:
        """Layers of the model, if the configuration says so properly."""
        depth = self.at("model", "depth")
        return depth if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0 else None

    @property
    def heads(self) -> int | None:
        """Heads of each block, if the manifest or the checkpoint's config.json says so."""
        entry = manifest.read().checkpoints.get(str(self.at("model", "checkpoint")))
        if entry is not None:
            return entry.architecture.heads if entry.architecture else None
        path = self.root / str(self.at("model", "checkpoint")) / "config.json"
        try:
            heads = json.loads(path.read_text())["vision_config"]["num_attention_heads"]
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a fault of its own, at model.checkpoint or model.depth
        return heads if isinstance(heads, int) else None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def refuse(message: str) -> NoReturn:
    """Raise the fault of the key being checked; message: all that follows the key."""
    raise PydanticCustomError(FAULT, "{message}", {"message": message})


def file_name(name: str) -> str:
    """A name that becomes part of a path."""
    if not _NAME.fullmatch(name):
        refuse(f"{name!r}: letters, digits, '-', '_' and '.' only, and a letter or digit first.")
    return name


def not_empty(mapping: dict[str, Any]) -> dict[str, Any]:
    """At least one dataset."""
    if not mapping:
        refuse("empty. Name at least one set of pictures.")
    return mapping


def not_below_minimum(longest: int, info: ValidationInfo) -> int:
    """max_new_tokens is at least min_new_tokens."""
    shortest = info.data.get("min_new_tokens", 1)
    if longest < shortest:
        refuse(f"{longest} is less than min_new_tokens, {shortest}. Write at least {shortest}.")
    return longest


def engine(chosen: str, info: ValidationInfo) -> str:
    """LAVIS runs in float32 throughout, or on a GPU in a mixture of its own."""
    parts = tuple(info.data.get(key) for key in ("dtype", "qformer_dtype", "language_dtype"))
    if chosen == "lavis" and None not in parts and set(parts) != {"float32"}:
        mixture = "float16, float32, bfloat16"
        found = ", ".join(map(str, parts))
        if info.data.get("device") == "cpu" or found != mixture:
            remedy = f"Set dtype, qformer_dtype and language_dtype to float32, or on a GPU to {mixture}."
            refuse(f"lavis, but the precision is {found}. {remedy}")
    return chosen


def known_dataset(name: str, info: ValidationInfo) -> str:
    """One of the datasets."""
    if isinstance(info.context, Context):
        known = sorted(map(str, info.context.at("datasets") or {}))
        if name not in known:
            refuse(unknown(f"{name!r} is none of datasets", name, known))
    return name


def layers(chosen: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    """Layers of the model, each once."""
    for position, layer in enumerate(chosen):
        _inside(layer, info)
        if layer in chosen[:position]:
            refuse(f"layer {layer} is there twice. Delete one.")
    return chosen


def layer(chosen: int, info: ValidationInfo) -> int:
    """A layer of the model."""
    _inside(chosen, info)
    return chosen


def layer_range(chosen: tuple[int, int], info: ValidationInfo) -> tuple[int, int]:
    """First and last layer of a range, both inside the model."""
    for layer in chosen:
        _inside(layer, info)
    first, last = chosen
    if first > last:
        refuse(f"[{first}, {last}]: the first layer comes after the last. Write [{last}, {first}].")
    return chosen


def several_layers(chosen: tuple[int, int]) -> tuple[int, int]:
    """A range of two layers or more."""
    if chosen[0] == chosen[1]:
        refuse(f"{list(chosen)}: a single layer shows no change. Give two at least.")
    return chosen


def judged_layers(chosen: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    """Layers inside judge.layers."""
    judged = info.context.at("judge", "layers") if isinstance(info.context, Context) else None
    if not (isinstance(judged, list) and [type(layer) for layer in judged] == [int, int]):
        return chosen  # a fault of its own, at that key
    for layer in chosen:
        if not judged[0] <= layer <= judged[1]:
            refuse(f"layer {layer} is outside judge.layers, {judged}. Widen that, or choose another layer.")
    return chosen


def outside_results(path: Path, info: ValidationInfo) -> Path:
    """A file that is not lost with the results."""
    if isinstance(info.context, Context):
        root = info.context.root
        if (root / path).resolve().is_relative_to((root / "results").resolve()):
            refuse(f"{path}: would be deleted with the results. Write judge/replies.jsonl, or another place.")
    return path


def range_after_lower(chosen: tuple[int, int], info: ValidationInfo) -> tuple[int, int]:
    """A range of layers that begins right after lower.layers."""
    layer_range(chosen, info)
    lower = info.data.get("layers")
    if lower is not None and chosen[0] != lower[1] + 1:
        refuse(f"{list(chosen)} does not follow lower.layers {list(lower)}. Begin with {lower[1] + 1}.")
    return chosen


def other_dataset(name: str, info: ValidationInfo) -> str:
    """One of the datasets, and not the main one."""
    known_dataset(name, info)
    if isinstance(info.context, Context) and name == info.context.at("main"):
        refuse(f"{name!r} is the main set itself. Name another of datasets, or null.")
    return name


def masks(
    combinations: tuple[dict[int, tuple[int, ...]], ...], info: ValidationInfo
) -> tuple[dict[int, tuple[int, ...]], ...]:
    """Layers and heads of the model."""
    count = info.context.heads if isinstance(info.context, Context) else None
    for heads_of in combinations:
        for chosen, heads in heads_of.items():
            _inside(chosen, info)
            outside = [head for head in heads if head < 0 or (count is not None and head >= count)]
            if outside and count is not None:
                refuse(f"layer {chosen}: no head {outside[0]}; the model's heads are 0-{count - 1}.")
    return combinations


def leaves_heads(count: int, info: ValidationInfo) -> int:
    """Fewer than a layer has, where so many are pruned."""
    heads = info.context.heads if isinstance(info.context, Context) else None
    if info.data.get("select") == "lowest" and heads is not None and count >= heads:
        refuse(f"{count} would prune every head of a layer, which has {heads}. Write at most {heads - 1}.")
    return count


def scored_metric(metric: str, info: ValidationInfo) -> str:
    """A metric that scores.references asks for, or BERTScore."""
    if isinstance(info.context, Context):
        asked = info.context.at("scores", "references")
        if isinstance(asked, list) and metric != "bertscore" and metric not in asked:
            allowed = ", ".join([*map(str, asked), "bertscore"])
            refuse(f"{metric!r} is not computed. Add it to scores.references, or write one of: {allowed}.")
    return metric


def _inside(layer: int, info: ValidationInfo) -> None:
    depth = info.context.depth if isinstance(info.context, Context) else None
    if depth is not None and not 0 <= layer < depth:
        nearby = min(max(layer, 0), depth - 1)
        refuse(f"layer {layer} is outside 0-{depth - 1}, the layers of the model. The nearest is {nearby}.")


def unknown(what: str, word: str, known: list[str]) -> str:
    """The words of a refusal of a name that is none of the known."""
    near = nearest(word, known)
    shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    return f"{what}.{f' Did you mean {near}?' if near else ''} There are: {shown or 'none'}."


def missing(path: Path, context: Context, wanted: str, meant: str | None = None) -> NoReturn:
    """Refuse a path that is not there or of the wrong kind; name its nearest neighbour or what was meant."""
    full = context.root / path
    if full.exists():
        refuse(f"{path} is {'a directory' if full.is_dir() else 'a file'}. Write {wanted}.")
    beside = [entry.name for entry in full.parent.iterdir()] if full.parent.is_dir() else []
    near = nearest(path.name, beside)
    hint = f" Did you mean {path.parent / near if near else meant}?" if near or meant else ""
    start = "" if path.is_absolute() else f", looked for in {context.root.absolute()}"
    refuse(f"{path}: no such file or directory{start}.{hint} Write {wanted}.")
