"""A small captioner's output: pictures, references, and captions that get better with depth."""

from __future__ import annotations

import numpy as np
import pandas as pd

OBJECTS = ("giraffe", "dog", "robot", "tractor", "cat's toy")
PLACES = ("on a snowy mountain", "under the sea", "in the U.S.", "at the beach, outdoors")


def build_captions(pictures: int, layers: int) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Return a `captions` table [pictures x layers] and the references of every picture."""
    rng = np.random.default_rng(7)
    references, rows = {}, []
    for index in range(pictures):
        image = f"picture{index:02d}"
        name, place = rng.choice(OBJECTS), rng.choice(PLACES)
        full = f"A {name} {place}."
        references[image] = [full, f"{place} there is a {name}", f"a {name}", "Something outdoors!"]
        for layer in range(layers):
            caption = full.lower() if rng.random() < layer / layers else f"a {rng.choice(OBJECTS)} outdoors"
            caption = "" if (index, layer) == (1, 0) else caption
            rows.append((image, "unedited", layer, None, caption, len(caption.split()), False))
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "int16", "head": "Int16"}), references
