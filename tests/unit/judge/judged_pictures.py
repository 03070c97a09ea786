"""Three pictures, three layers each, and what they are judged with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from api_server import KEY, Api

from vitpeel.judge import openai_judge
from vitpeel.judge.openai_judge import Terms
from vitpeel.judge.questions import Asked

ASKED = Asked("judge-2024-08-06")


def captions_of(images: list[str], layers: int = 3) -> pd.DataFrame:
    said = ("something outdoors", "a large animal in the snow", "a giraffe on a snowy mountain")
    rows = [
        (image, "unedited", layer, None, f"{said[min(layer, 2)]}, says {image}", 4, False)
        for image in images
        for layer in range(layers)
    ]
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "int16", "head": "Int16"})


@dataclass
class Judge:
    """score() asks the server; what it is asked with can be changed."""

    api: Api
    pictures: dict[str, Path]
    captions: pd.DataFrame
    replies: Path
    terms: Terms
    asked: Asked = ASKED
    key: str | None = KEY

    def score(self, **terms: object) -> pd.DataFrame:
        kept = replace(self.terms, **terms)
        return openai_judge.score(self.captions, self.pictures, self.asked, kept, self.replies, self.key)
