"""Where in a picture heads see a text (CLIP-InterpreT, sections 5.2 and 5.3).

A head's contribution to the embedding is the sum of what each token gives it (Gandelsman et al. 2024, section
5). A token's part times a text's embedding says how much of the text it adds through that head: positive
towards the text, negative away from it. A map holds the patches; CLS, which gives its part as any token, has
no place in a picture and is left out, so a map adds up to the head's contribution times the text less that of
CLS. Several heads are added up before, as in `vitpeel.clip.neighbours`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitpeel.clip import head_places
from vitpeel.clip.contributions import tokens_of
from vitpeel.clip.head_places import Place

if TYPE_CHECKING:
    from vitpeel.models.openclip import Clip


def patches(clip: Clip, pixels: Tensor, places: Sequence[Place]) -> Tensor:
    """What each patch gives to the embedding through these heads, added up.

    pixels: [n, 3, height, width], prepared by `clip.preprocess` -> [n, rows, columns, embedding]. Maps of any
    number of texts can be read from it. Raises InputError for a head that the model does not have.
    """
    trunk = clip.trunk
    some = head_places.checked(places, range(trunk.depth), trunk.heads)
    by_layer: dict[int, list[int]] = {}
    for layer, head in some:
        by_layer.setdefault(layer, []).append(head)
    tokens = tokens_of(clip, pixels, by_layer)
    return tokens[:, 1:].reshape(len(tokens), *clip.grid, -1)


def topic(clip: Clip, pixels: Tensor, text: Tensor, places: Sequence[Place]) -> Tensor:
    """How much of a text each patch adds to the embedding through these heads.

    pixels: [n, 3, height, width]; text: its unit embedding, [embedding], a row of `clip.texts` -> [n, rows,
    columns], float32. Raises InputError for a head that the model does not have.
    """
    return (patches(clip, pixels, places).float() @ text.float()).float()


def contrast(clip: Clip, pixels: Tensor, text: Tensor, against: Tensor, places: Sequence[Place]) -> Tensor:
    """The map of `text` less the map of `against`, over exactly these heads; else as `topic`.

    places: for all heads of the last layers, `head_places.all_heads(contributions.last(trunk, count),
    trunk.heads)`.
    """
    return topic(clip, pixels, text.float() - against.float(), places)


def seen(pixels: Tensor, preprocessing: str) -> NDArray[np.uint8]:
    """Pictures as the model saw them: resized and cropped as for it, the normalisation undone.

    pixels: [n, 3, height, width]; preprocessing: `Clip.preprocessing`, whose mean and std were applied ->
    [n, height, width, 3], 0 to 255.
    """
    settings = json.loads(preprocessing)
    mean, std = (torch.tensor(settings[key], dtype=torch.float64) for key in ("mean", "std"))
    shown = pixels.double().cpu() * std[:, None, None] + mean[:, None, None]
    rounded: NDArray[np.uint8] = (shown * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return rounded
