"""Whether a checkpoint fits the device, asked before its weights are read: from the heads of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError, safe_open

from vitpeel.errors import InputError
from vitpeel.models import Device, DType, Precision

BYTES: dict[DType, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
PARTS: dict[str, str] = {"vision_model": "vision", "language_model": "language"}  # all else: the Q-Former's


def check(checkpoint: Path, precision: Precision, place: torch.device) -> None:
    """Refuse, with the numbers, a checkpoint whose weights alone are more than the device has room for.

    precision: what each part is held in on `place`. Raises InputError.
    """
    weights = count(checkpoint)
    needed = sum(number * BYTES[getattr(precision, part)] for part, number in weights.items())
    free, whole = room(place)
    if needed <= free:
        return
    held = ", ".join(
        f"{part} {weights[part] / 1e9:.2f} billion in {getattr(precision, part)}" for part in weights
    )
    raise InputError(
        f"{checkpoint}: its weights take {needed / 1e9:.2f} GB ({held}), but of the {whole / 1e9:.2f} GB of "
        f"{_name(place)} {free / 1e9:.2f} GB are free. Use a device with more memory, or one that is "
        f"free; half precision (model.dtype, qformer_dtype, language_dtype) halves a part."
    )


def count(checkpoint: Path) -> dict[str, int]:
    """How many numbers the weights of each part are: vision, qformer, language."""
    found = dict.fromkeys(("vision", "qformer", "language"), 0)
    for path in sorted(checkpoint.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118, it is no mapping
                    size = 1
                    for side in file.get_slice(name).get_shape():
                        size *= side
                    found[PARTS.get(_part(name), "qformer")] += size
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: not readable as safetensors: {error}; copy it again") from error
    return found


def place_of(device: Device) -> torch.device:
    """Where a model goes."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def room(place: torch.device) -> tuple[int, int]:
    """Bytes that are free on a device, and all that it has; for the CPU, the machine's memory."""
    if place.type == "cuda":
        free, whole = torch.cuda.mem_get_info(place)
        return int(free), int(whole)
    memory: Any = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def _part(name: str) -> str:
    """The first component of a weight's name that says whose it is; some checkpoints begin with "model."."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "model" else first


def _name(place: torch.device) -> str:
    return torch.cuda.get_device_name(place) if place.type == "cuda" else "this machine's memory"
