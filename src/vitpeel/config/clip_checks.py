"""What types cannot say of the section clip: that its models, layers, heads and files are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from vitpeel import manifest
from vitpeel.config.checks import Context, missing, nearest, refuse, unknown

OPEN_CLIP = "open_clip_config.json"
_NONE = "none"  # the label of a head without a property
_HEAD_WIDTH = 64  # open_clip's, where the configuration says no other


def checkpoint(path: Path, info: ValidationInfo) -> Path:
    """A folder in the layout of the hub for open_clip, or where a CLIP of the manifest will be."""
    if not isinstance(info.context, Context):
        return path
    known = _clips()
    if str(path) in known and not (info.context.root / path).is_dir():
        return manifest.folder(info.context.cache, str(path))
    folder = info.context.root / path
    if not folder.is_dir():
        wanted = f"a folder with {OPEN_CLIP}, or a name of the manifest: {', '.join(known)}"
        missing(path, info.context, wanted, nearest(str(path), known))
    if not (folder / OPEN_CLIP).is_file():
        refuse(f"{path}: no {OPEN_CLIP} there. Name a folder in the layout of the hub for open_clip.")
    if not any(folder.glob("*.safetensors")):
        refuse(f"{path}: no *.safetensors weights there; pickles are not loaded. Put them into the folder.")
    return path


def models(chosen: dict[str, Path]) -> dict[str, Path]:
    """At least one."""
    if not chosen:
        refuse("empty. Name at least one model, or write `clip: null` to leave the study out.")
    return chosen


def known_model(name: str, info: ValidationInfo) -> str:
    """One of clip.models."""
    if isinstance(info.context, Context):
        known = sorted(map(str, info.context.at("clip", "models") or {}))
        if known and name not in known:
            refuse(unknown(f"{name!r} is none of clip.models", name, known))
    return name


def last_layers(count: int, info: ValidationInfo) -> int:
    """No more than any model has."""
    if isinstance(info.context, Context):
        for name in info.context.at("clip", "models") or {}:
            found = shape(info.context, str(name))
            if found and count > found[0]:
                refuse(f"{count}, but {name} has {found[0]} layers. Write at most {found[0]}.")
    return count


def head(chosen: tuple[int, int], info: ValidationInfo) -> tuple[int, int]:
    """A layer and a head of the model of the analyses, among the layers that are studied."""
    if not isinstance(info.context, Context):
        return chosen
    found = shape(info.context, str(info.context.at("clip", "analyses", "model")))
    count = info.context.at("clip", "layers")
    if found is None or not isinstance(count, int) or not 0 < count <= found[0]:
        return chosen  # a fault of its own, at that key
    (depth, heads), (layer, number) = found, chosen
    if not depth - count <= layer < depth:
        refuse(f"layer {layer} is none of the last {count}, {depth - count}-{depth - 1} (clip.layers).")
    if not 0 <= number < heads:
        refuse(f"no head {number}; the heads of a layer are 0-{heads - 1}.")
    return chosen


def label(name: str) -> str:
    """A property, not the lack of one."""
    if name.lower() == _NONE:
        refuse("none is what heads without a property are labelled. Name a property.")
    return name


def overrides(path: Path | None, info: ValidationInfo) -> Path | None:
    """A file that is there."""
    if path is not None and isinstance(info.context, Context) and not (info.context.root / path).is_file():
        missing(path, info.context, "a CSV file (model,layer,head,label), or null")
    return path


def descriptions(path: Path, info: ValidationInfo) -> Path:
    """A file that is there, or where a file of the manifest's texts will be."""
    if not isinstance(info.context, Context):
        return path
    offered = [f"{name}/{file}" for name, entry in manifest.read().texts.items() for file in entry.files]
    if str(path) in offered:
        return manifest.folder(info.context.cache, path.parts[0]) / path.name
    if not (info.context.root / path).is_file():
        near = nearest(str(path), offered)
        missing(path, info.context, f"a file with a text a line, or one of {', '.join(offered)}", near)
    return path


def shape(context: Context, name: str) -> tuple[int, int] | None:
    """Layers and heads of one of clip.models; None where that cannot be told, a fault of its own."""
    written = str(context.at("clip", "models", name))
    folder = context.root / written
    if written in _clips() and not folder.is_dir():
        facts = _clips()[written].architecture
        return (facts.depth, facts.heads) if facts else None
    try:
        vision: Mapping[str, Any] = json.loads((folder / OPEN_CLIP).read_text())["model_cfg"]["vision_cfg"]
        return int(vision["layers"]), int(vision["width"]) // int(vision.get("head_width", _HEAD_WIDTH))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clips() -> dict[str, manifest.Entry]:
    """The CLIP models of the manifest."""
    entries = manifest.read().checkpoints.items()
    return {
        name: entry for name, entry in entries if entry.architecture and entry.architecture.kind == "clip"
    }
