"""The whole configuration as strict, frozen models; `load` refuses a faulty one with a line for every fault.

Knows nothing of torch: Snakemake reads it at every start. The library takes plain values or the small models
(`Decoding`), never the whole `Settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from vitpeel import manifest
from vitpeel.config import checks
from vitpeel.config.clip import ClipSettings
from vitpeel.config.experiments import (
    HeadSettings,
    JudgeSettings,
    LowerSettings,
    PerspectiveSettings,
    PruningSettings,
)
from vitpeel.config.faults import explain
from vitpeel.config.figures import FigureSettings
from vitpeel.config.model import (
    ComputeSettings,
    DatasetSettings,
    Decoding,
    ModelSettings,
    ParitySettings,
    ScoreSettings,
)
from vitpeel.config.section import Name, Section
from vitpeel.errors import ConfigError

__all__ = ["Decoding", "Settings", "load"]


class Settings(Section):
    """The configuration of one run."""

    run: Name = Field(description="Name of the run: results go to results/<run>/.")
    seed: Annotated[int, Field(ge=0)] = Field(
        description="Of everything random: bootstrap, samples of pictures, random heads."
    )
    cache: Path = Field(
        description="Folder of what is downloaded, shared by all runs and by all nodes of a cluster."
    )
    datasets: Annotated[dict[Name, DatasetSettings], AfterValidator(checks.not_empty)] = Field(
        description="Sets of pictures, by names of your choice."
    )
    main: Annotated[str, AfterValidator(checks.known_dataset)] = Field(
        description="The set that is peeled: one of datasets."
    )
    model: ModelSettings = Field(description="The captioner.")
    compute: ComputeSettings = Field(
        description="How the work is cut up. With one thread a job, on the CPU, nothing here changes a "
        "result; with more, or on a GPU, sums may be rounded differently in their last digit."
    )
    parity: ParitySettings = Field(description="`snakemake parity`: vitpeel beside the reference engine.")
    scores: ScoreSettings = Field(description="Scores and their intervals.")
    perspectives: PerspectiveSettings = Field(description="Sections 3.3 to 3.5: how layers are compared.")
    lower: LowerSettings = Field(description="Section 4.2: averages in the place of what the picture gives.")
    judge: JudgeSettings = Field(description="Section 4.4: who scores how concrete a caption is.")
    heads: HeadSettings = Field(description="Section 4.4: single heads, and heads by mask.")
    pruning: PruningSettings = Field(description="Section 4.4: Algorithm 1 and Table 1.")
    figures: FigureSettings = Field(description="What the figures show.")
    clip: ClipSettings | None = Field(description="The second study, CLIP-InterpreT; null: left out.")

    def picture_folder(self, dataset: str) -> Path:
        """Where the pictures of a dataset are: the user's directory, or where the hub's are unpacked."""
        chosen = self.datasets[dataset]
        if chosen.kind == "folder" and chosen.path is not None:
            return chosen.path
        return Path("results", self.run, "datasets", dataset, "pictures")

    def captions_file(self, dataset: str) -> Path | None:
        """The file of a dataset's references: the user's, or beside the unpacked pictures; None: none."""
        chosen = self.datasets[dataset]
        if chosen.captions is None:
            return None
        if chosen.kind == "folder":
            return Path(chosen.captions)
        return self.picture_folder(dataset).with_name(f"{chosen.captions}.csv")

    def files_of(self, model: Path) -> list[str]:
        """What jobs depend on that read a model or a file: its files, or a download's receipt."""
        entry = manifest.cached(self.cache, model) or manifest.cached(self.cache, model.parent)
        if entry is not None:
            return [manifest.receipt(self.cache, entry).as_posix()]
        if model.is_file():
            return [str(model)]
        return sorted(str(file) for file in model.rglob("*") if file.is_file())

    @property
    def has_references(self) -> bool:
        """Whether the peeled pictures come with captions to score against."""
        return self.datasets[self.main].captions is not None


def load(mapping: Mapping[str, Any], root: Path, source: str = "config/config.yaml") -> Settings:
    """The configuration in `mapping`, checked against the files that it names.

    root: the folder that relative paths start from. source: what to call the configuration in messages.
    Raises ConfigError with one line for every fault.
    """
    try:
        # As JSON, because strict models take a list for a tuple and text for a path from JSON only.
        text = json.dumps(mapping, default=str)
        return Settings.model_validate_json(text, context=checks.Context(Path(root), mapping))
    except ValidationError as error:
        lines = explain(error, Settings, mapping)
    raise ConfigError(*(f"{source}: {line}" for line in lines))
