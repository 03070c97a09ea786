"""Ask the reference engine what layers say, and what it computed on the way.

It runs as a program of its own, with the interpreter of its environment; pictures go there as files, and what
it says comes back as files. LAVIS does the rest itself: preprocessing, tokenizers, all modules, `generate`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitpeel.datasets.pictures import Picture, open_rgb
from vitpeel.errors import InputError
from vitpeel.lavis.environment import python_of
from vitpeel.provenance import Provenance, fingerprint

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.captioner import Caption
    from vitpeel.config import Decoding
    from vitpeel.tables import Reading

INSIDE = Path(__file__).parent / "inside/__main__.py"


@dataclass(frozen=True)
class Said:
    """A caption: number of the picture, layer, text, word pieces without the end, whether it was cut off."""

    picture: int
    layer: int
    text: str
    tokens: int
    truncated: bool


@dataclass(frozen=True)
class Answer:
    """What LAVIS gave.

    captions: picture by picture, layer by layer. prompt: the prompt's word numbers, as "language" and, for
    InstructBLIP, "qformer" read them. parts: where asked for, "pixels" [n, 3, side, side] and, of layer l,
    "vit.l" and "ln_vision.l" [n, tokens, width], "qformer.l" [n, q, width], "projection.l" [n, q, d_model]
    and "logits.l" [n, words], of the first word.
    """

    captions: tuple[Said, ...]
    prompt: Mapping[str, Sequence[int]]
    parts: Mapping[str, Tensor]


def ask(
    environment: Path,
    pictures: Sequence[Picture],
    model: Mapping[str, Any],
    reading: Mapping[str, Any],
    preprocessing: str,
    decoding: Decoding,
    batch: int,
    parts: bool = False,
) -> Answer:
    """Run the program on these pictures.

    environment: LAVIS's; model, reading: as `models.load` takes them; preprocessing: as
    `models.preprocessing` gives it; batch: pictures at a time; parts: also what was computed on the way.
    Raises InputError, one line, if it fails; what it printed is in the log.
    """
    from vitpeel.models import Precision, room  # here: it takes torch

    precision = Precision(model["dtype"], reading["qformer_dtype"], reading["language_dtype"])
    room.check(Path(model["checkpoint"]), precision, room.place_of(model["device"]))
    settings = json.loads(preprocessing)
    request = {
        **model,
        **reading,
        "checkpoint": str(Path(model["checkpoint"]).absolute()),
        "side": settings["size"]["height"],
        "mean": settings["image_mean"],
        "std": settings["image_std"],
        "decoding": decoding.model_dump(mode="json"),
        "batch": batch,
        "parts": parts,
    }
    with tempfile.TemporaryDirectory(prefix="vitpeel-lavis-") as name:
        folder = Path(name)
        paths = [folder / f"picture-{number}.png" for number in range(len(pictures))]
        for picture, path in zip(pictures, paths, strict=True):
            open_rgb(picture.path).save(path)
        (folder / "request.json").write_text(json.dumps({**request, "pictures": list(map(str, paths))}))
        _run(python_of(environment), folder)
        lines = (folder / "captions.jsonl").read_text().splitlines()
        return Answer(
            captions=tuple(Said(**json.loads(line)) for line in lines),
            prompt=json.loads((folder / "prompt.json").read_text()),
            parts=_read(folder / "parts.safetensors") if parts else {},
        )


def readings(answer: Answer, pictures: Sequence[Picture], variant: str) -> Iterator[Caption[Reading]]:
    """The captions as `caption_tables.frame` takes them.  pictures: those that were asked about."""
    from vitpeel.captioner import Caption
    from vitpeel.tables import Reading

    for said in answer.captions:
        key = Reading(pictures[said.picture].image_id, variant, said.layer, None)
        yield Caption(key, said.text, said.tokens, said.truncated)


def provenance(
    model: Mapping[str, Any], reading: Mapping[str, Any], preprocessing: str, decoding: Decoding
) -> Provenance:
    """What makes a table of these captions: as `caption_layers` says it, and the engine."""
    from vitpeel.caption_tables import derived

    made = Provenance(fingerprint(Path(model["checkpoint"])), model["dtype"], preprocessing)
    return derived(made, reading=reading, decoding=decoding, engine="lavis")


def _run(python: Path, folder: Path) -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # -I: neither the user's own packages nor anything beside the program is imported
    done = subprocess.run([str(python), "-I", str(INSIDE), str(folder)], env=outside)
    if done.returncode:
        failure = folder / "failure.txt"
        said = failure.read_text() if failure.is_file() else f"ended with status {done.returncode}"
        raise InputError(f"LAVIS: {said}. What it printed is in the log.")


def _read(path: Path) -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    found: Mapping[str, Tensor] = load_file(path)
    return found
