"""Load a checkpoint and hand out its parts: preprocessing, the trunk, and the captioner behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vitpeel.captioner import Captioner
    from vitpeel.trunk import Trunk

Kind = Literal["instructblip", "blip2"]
DType = Literal["float32", "float16", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Readout = Literal["post_layernorm", "none"]


@dataclass(frozen=True)
class Precision:
    """Of the parts: the vision transformer, Q-Former with projection, the language model."""

    vision: DType
    qformer: DType
    language: DType


@dataclass(frozen=True)
class Model:
    """The parts of a checkpoint.

    preprocess: RGB pictures -> [batch, 3, height, width] on the model's device and in its precision;
    preprocessing: the settings of that step as JSON, for provenance; grid: patches down and across a
    picture.
    """

    trunk: Trunk
    captioner: Captioner
    preprocess: Callable[[Sequence[Image]], Tensor]
    preprocessing: str
    grid: tuple[int, int]


def load(
    kind: Kind,
    checkpoint: Path,
    *,
    prompt: str,
    dtype: DType = "float32",
    device: Device = "auto",
    readout: Readout = "post_layernorm",
    qformer_dtype: DType | None = None,
    language_dtype: DType | None = None,
) -> Model:
    """Load a checkpoint folder.

    prompt: given to T5, and to the Q-Former of an InstructBLIP; dtype: precision of the vision transformer,
    and of the other two parts where they are None; readout: what is done to Z^l before it is captioned.

    Raises InputError, one line, if the folder is not such a checkpoint or its weights are missing or of
    another shape.
    """
    from vitpeel.models import instructblip  # here: it takes transformers, hence ten seconds

    return instructblip.load(
        kind,
        checkpoint,
        prompt=prompt,
        dtype=Precision(dtype, qformer_dtype or dtype, language_dtype or dtype),
        device=device,
        readout=readout,
    )


def preprocessing(kind: Kind, checkpoint: Path) -> str:
    """`Model.preprocessing` of a checkpoint folder, without reading its weights."""
    from vitpeel.models import instructblip

    return instructblip.preprocessing(kind, checkpoint)
