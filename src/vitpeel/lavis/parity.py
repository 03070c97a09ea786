"""Both engines on one checkpoint and the same pictures, part by part: how far are they apart?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vitpeel.activations import pixels_of
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import VitpeelError

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.config import Decoding
    from vitpeel.lavis.engine import Answer
    from vitpeel.models import Model
    from vitpeel.models.instructblip import Queries

# In the order in which a picture becomes a caption.
PARTS = ("vit", "ln_vision", "qformer", "projection", "logits")
COLUMNS = ["part", "layer", "max_absolute", "max_relative", "pictures", "different", "cut", "agrees"]


def compare(
    model: Model, answer: Answer, pictures: Sequence[Picture], decoding: Decoding, tolerance: float
) -> pd.DataFrame:
    """A row for the prompt, for the pixels, and for every part of every layer, as `COLUMNS`.

    model: in float32; answer: of the reference engine about the same pictures, with its parts.

    max_absolute: the largest difference; max_relative: the same as a part of the largest value of LAVIS's in
    that part and layer, which is held against the tolerance; both null for the prompt and for captions.
    different: pictures that differ by more, or whose captions are not equal. cut: pictures whose captions
    are not compared, because a beam search was cut off at max_new_tokens: the transformers that LAVIS runs
    on ranks an unfinished sentence by its length and one, today's by its length.
    """
    import torch

    count = len(pictures)
    same = _same_prompt(model, answer)
    rows: list[list[Any]] = [["prompt", None, None, None, count, 0 if same else count, 0, same]]
    torch.backends.cudnn.allow_tf32 = False  # float32 throughout, convolutions too
    with torch.inference_mode():
        pixels = pixels_of(model, pictures)
        rows.append(["pixels", None, *_difference(pixels, answer.parts["pixels"], tolerance)])
        said = {(one.picture, one.layer): (one.text, one.tokens, one.truncated) for one in answer.captions}
        for layer, z in model.trunk.layers(pixels):
            for part, value in _parts(model, z).items():
                theirs = answer.parts[f"{part}.{layer}"]
                rows.append([part, layer, *_difference(value, theirs, tolerance)])
            own = model.captioner.caption(enumerate(z), decoding, count)
            pairs = [((one.text, one.tokens, one.truncated), said[one.key, layer]) for one in own]
            whole = [pair for pair in pairs if decoding.beams == 1 or not any(cut for *_, cut in pair)]
            different = sum(ours != theirs for ours, theirs in whole)
            rows.append(["caption", layer, None, None, count, different, count - len(whole), different == 0])
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int16"})
    order = {part: number for number, part in enumerate(("prompt", "pixels", *PARTS, "caption"))}
    return table.sort_values("part", key=lambda parts: parts.map(order), kind="stable", ignore_index=True)


def verdict(table: pd.DataFrame, tolerance: float) -> str:
    """One line: that both engines agree, and how closely.

    Raises VitpeelError with the first part, in the order in which a caption comes about, that does not.
    """
    failed = table[~table["agrees"]]
    if len(failed):
        first = failed.iloc[0]
        layer = "" if pd.isna(first["layer"]) else f" of layer {int(first['layer'])}"
        how = (
            f"{first['different']} of {first['pictures']} differ"
            if pd.isna(first["max_relative"])
            else f"{first['max_relative']:.2g} apart, more than {tolerance:g}"
        )
        raise VitpeelError(
            f"parity: vitpeel and LAVIS do not agree in {len(failed)} of {len(table)} rows. "
            f"The first is {first['part']}{layer}: {how}."
        )
    farthest = table["max_relative"].max()
    return f"{len(table)} rows agree; the farthest apart by {farthest:.2g}, {tolerance:g} allowed"


def _parts(model: Model, z: Tensor) -> Mapping[str, Tensor]:
    """What vitpeel computes on the way from a layer's output to the first word.  z: [n, tokens, width]."""
    queries = _queries(model)
    seen = model.captioner.readout(z)
    return {
        "vit": z,
        "ln_vision": seen,
        "qformer": queries.read(seen),
        "projection": queries(seen),
        "logits": _first_word(model, z),
    }


def _first_word(model: Model, z: Tensor) -> Tensor:
    """Scores of the first word.  [n, tokens, width] -> [n, words]."""
    import torch

    from vitpeel.decoding import GRAIN

    t5, encoded = model.captioner.t5, model.captioner.encode(z)
    cache = t5.empty_cache(len(z), 1, GRAIN, encoded.shape[1])
    cache.admit(torch.arange(len(z), device=z.device), t5.source(encoded))
    start = torch.full((len(z), 1), t5.start, device=z.device)
    return t5.step(start, torch.zeros(len(z), dtype=torch.int64, device=z.device), cache)[:, 0]


def _same_prompt(model: Model, answer: Answer) -> bool:
    """Whether language model and Q-Former read the same words in both engines."""
    import torch

    captioner, queries = model.captioner, _queries(model)
    spoken = torch.tensor(answer.prompt["language"], device=captioner.prompt.device)
    embedded = captioner.t5.embedding[spoken]
    read = None if queries.words is None else queries.words[0].tolist()
    asked = answer.prompt.get("qformer")
    same: bool = torch.equal(captioner.prompt[~captioner.image], embedded)
    return same and read == (None if asked is None else list(asked))


def _queries(model: Model) -> Queries:
    from vitpeel.models.instructblip import Queries

    queries = model.captioner.queries
    if not isinstance(queries, Queries):
        raise TypeError(f"queries of another kind: {type(queries).__name__}")
    return queries


def _difference(ours: Tensor, theirs: Tensor, tolerance: float) -> tuple[float, float, int, int, int, bool]:
    """The columns from max_absolute on."""
    if ours.shape != theirs.shape:
        raise VitpeelError(f"parity: {tuple(ours.shape)} in vitpeel, but {tuple(theirs.shape)} in LAVIS")
    apart = (ours.float().cpu() - theirs).abs().flatten(1).amax(1)
    scale = theirs.abs().max().item()
    different = int((~(apart <= tolerance * scale)).sum())  # also where it is not a number
    return apart.max().item(), apart.max().item() / scale, len(apart), different, 0, different == 0
