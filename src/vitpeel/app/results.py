"""What a run has to offer: pictures to click on, and CLIP models whose heads are labelled and indexed.

Read once from results/<run> when the application starts. Only tables and the existence of files: models and
indexes are opened when somebody asks for them (`vitpeel.app.engines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vitpeel.clip import head_places
from vitpeel.clip.head_places import Place
from vitpeel.config import Settings
from vitpeel.errors import InputError
from vitpeel.plots.style import Source
from vitpeel.tables import HEAD_LABELS, HEAD_TEXTS, PICTURES, read_table

# Pictures of the main set that can be clicked on: those that the configuration names, then the first ones.
EXAMPLES = 6


@dataclass(frozen=True)
class Study:
    """A CLIP model of the run: labels and texts of its heads, and the index of what they give to pictures."""

    name: str
    checkpoint: Path
    index: Path
    labels: pd.DataFrame
    texts: pd.DataFrame

    @property
    def layers(self) -> list[int]:
        """The layers whose heads are labelled, in order."""
        return sorted(int(layer) for layer in self.labels["layer"].unique())

    def heads(self, layer: int) -> list[int]:
        """The heads of a layer, in order."""
        return sorted(int(head) for head in self.labels.loc[self.labels["layer"] == layer, "head"])

    @property
    def places(self) -> list[Place]:
        """Every labelled head."""
        return [(layer, head) for layer in self.layers for head in self.heads(layer)]

    @property
    def properties(self) -> Mapping[str, tuple[Place, ...]]:
        """The properties that its heads are labelled with, and these heads."""
        return head_places.properties(self.labels, self.name)

    def label(self, place: Place) -> str:
        """What a head is labelled."""
        return head_places.label_of(self.labels, self.name, place)

    def texts_of(self, place: Place) -> list[str]:
        """The texts that TextSpan found for a head, the one that explains most first."""
        own = self.texts[(self.texts["layer"] == place[0]) & (self.texts["head"] == place[1])]
        return [str(text) for text in own.sort_values("rank")["text"]]


@dataclass(frozen=True)
class Offer:
    """A run: its settings, the pictures of its main set, those that are searched for neighbours, its models.

    examples: ids of pictures to click on. Without a study of CLIP models there are no candidates.
    """

    settings: Settings
    pictures: Mapping[str, Path]
    examples: tuple[str, ...]
    candidates: Mapping[str, Path]
    studies: Mapping[str, Study]

    def source(self, checkpoint: Path, pictures: int) -> Source:
        """What the line under a result says."""
        embedded = checkpoint.resolve().is_relative_to(Path("resources/demo").resolve())
        return Source(self.settings.run, checkpoint.as_posix(), pictures, embedded)


def read(settings: Settings) -> Offer:
    """What the run has to offer.  Raises InputError, with what to run, for a result that is not there."""
    clip, results = settings.clip, Path("results", settings.run)
    target = "snakemake fig1" if clip is None else "snakemake clip_figures"

    def made(path: Path) -> Path:
        if not path.is_file():
            raise InputError(f"{path}: not there yet. Run `{target}` to make it, then start again.")
        return path

    def pictures(dataset: str) -> dict[str, Path]:
        table = read_table(made(results / "datasets" / dataset / "files.parquet"), PICTURES)
        return dict(zip(table["image_id"].astype(str), map(Path, table["path"]), strict=True))

    main = pictures(settings.main)
    if clip is None:
        return Offer(settings, main, _examples(settings, main), {}, {})
    studies = {}
    for name, checkpoint in clip.models.items():
        own = results / "clip" / name
        studies[name] = Study(
            name,
            checkpoint,
            made(own / "index.safetensors"),
            _of_model(read_table(made(own / "labels.parquet"), HEAD_LABELS), name),
            _of_model(read_table(made(own / "texts.parquet"), HEAD_TEXTS), name),
        )
    return Offer(settings, main, _examples(settings, main), pictures(clip.dataset), studies)


def _of_model(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["model"] == name].reset_index(drop=True)


def _examples(settings: Settings, pictures: Mapping[str, Path]) -> tuple[str, ...]:
    """Ids of pictures to click on, those of the analyses and of Figure 1 first."""
    named = list(settings.figures.fig1.images)
    if settings.clip is not None:
        asked = settings.clip.analyses
        named = [
            *(query.picture for query in asked.properties),
            *(query.picture for query in asked.pictures),
            *(query.picture for query in asked.contrasts),
            *named,
        ]
    known = [image for image in dict.fromkeys([*named, *pictures]) if image in pictures]
    return tuple(known[:EXAMPLES])
