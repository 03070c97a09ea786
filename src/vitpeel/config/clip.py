"""CLIP-InterpreT: which CLIP models, which texts, who labels their heads, and what the five analyses show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vitpeel.config import checks, clip_checks
from vitpeel.config.experiments import AskingSettings
from vitpeel.config.model import DType
from vitpeel.config.section import Image, Images, Name, NonEmpty, Positive, Section

Checkpoint = Annotated[Path, AfterValidator(clip_checks.checkpoint)]
Head = Annotated[tuple[int, int], AfterValidator(clip_checks.head)]
Property = Annotated[str, Field(min_length=1), AfterValidator(clip_checks.label)]


class LabelSettings(Section):
    """Section 3: who says what property the texts of a head share."""

    kind: Literal["lexicon", "openai"] = Field(
        description="lexicon: lists of words, offline, no language model; openai: in-context learning, a "
        "language model that sees five labelled heads, as in the paper."
    )
    overrides: Annotated[Path | None, AfterValidator(clip_checks.overrides)] = Field(
        description="CSV with the labels of a person, which take the labeller's place: model, layer, head, "
        "label, and matches if the texts that match were counted; null: none."
    )
    openai: AskingSettings = Field(description="How OpenAI's API is asked.")


class PropertyQuery(Section):
    """Section 5.1: the pictures nearest to one in what the heads with a label see."""

    picture: Image = Field(description="A picture of the main set, by image id.")
    property: Property = Field(description="A label that heads of the model have.")


class TopicQuery(Section):
    """Section 5.2: where a head sees a text in pictures."""

    pictures: Images = Field(description="Pictures of the main set, by image id.")
    text: NonEmpty = Field(description="What is looked for.")
    head: Head = Field(description="Layer and head.")


class ContrastQuery(Section):
    """Section 5.3: where heads see one text rather than another."""

    picture: Image = Field(description="A picture of the main set, by image id.")
    texts: tuple[NonEmpty, NonEmpty] = Field(description="The two texts.")
    heads: Annotated[tuple[Head, ...], Field(min_length=1)] | None = Field(
        description="Whose maps are added up, each a layer and a head; null: all of the last layers."
    )


class PictureQuery(Section):
    """Section 5.4: the pictures nearest to one in what a head sees."""

    picture: Image = Field(description="A picture of the main set, by image id.")
    head: Head = Field(description="Layer and head.")


class TextQuery(Section):
    """Section 5.5: the pictures in which a head sees a text most."""

    text: NonEmpty = Field(description="What is looked for.")
    head: Head = Field(description="Layer and head.")


class AnalysisSettings(Section):
    """Section 5, the five analyses, as figures; the application offers them for any picture."""

    model: Annotated[str, AfterValidator(clip_checks.known_model)] = Field(
        description="The model of the figures: one of clip.models."
    )
    measure: Literal["cosine", "dot"] = Field(
        description="What nearest means. cosine, as the paper says; dot: lengths count too."
    )
    neighbours: Annotated[int, Field(ge=1, le=8)] = Field(description="Pictures shown for each query.")
    properties: Annotated[tuple[PropertyQuery, ...], Field(min_length=1)] = Field(
        description="Queries of the figure of neighbours by property."
    )
    topics: Annotated[tuple[TopicQuery, ...], Field(min_length=1)] = Field(
        description="Queries of the figure of topic segmentation."
    )
    contrasts: Annotated[tuple[ContrastQuery, ...], Field(min_length=1)] = Field(
        description="Queries of the figure of contrastive segmentation."
    )
    pictures: Annotated[tuple[PictureQuery, ...], Field(min_length=1)] = Field(
        description="Queries of the figure of a picture's neighbours by head."
    )
    texts: Annotated[tuple[TextQuery, ...], Field(min_length=1)] = Field(
        description="Queries of the figure of a text's neighbours by head."
    )


class ClipSettings(Section):
    """The study of CLIP models: texts and labels of their heads, scores, analyses."""

    models: Annotated[dict[Name, Checkpoint], AfterValidator(clip_checks.models)] = Field(
        description="Checkpoints by names of your choice: a folder with open_clip_config.json and "
        "safetensors weights, or a name of the manifest (src/vitpeel/manifest.yaml): then it is downloaded."
    )
    dtype: DType = Field(description="Precision of the matrices of their vision transformers.")
    device: Literal["auto", "cpu", "cuda"] = Field(description="Where they run, as model.device.")
    dataset: Annotated[str, AfterValidator(checks.known_dataset)] = Field(
        description="Set of pictures whose heads TextSpan takes apart, and that is searched for neighbours: "
        "one of datasets."
    )
    layers: Annotated[Positive, AfterValidator(clip_checks.last_layers)] = Field(
        description="How many of the last layers are studied."
    )
    descriptions: Annotated[Path, AfterValidator(clip_checks.descriptions)] = Field(
        description="The texts that TextSpan chooses from: a file, one a line, or a file of the manifest: "
        "textspan-descriptions/image_descriptions_general.txt."
    )
    texts: Annotated[int, Field(ge=1, le=100)] = Field(
        description="Texts of a head, by which it is labelled; the first explains most of it."
    )
    rank: Positive | None = Field(
        description="Directions of a head's output that are kept at most; null: all that float32 resolves."
    )
    labels: LabelSettings = Field(description="Section 3: labels of the heads.")
    least: Positive = Field(description="Section 4.2: texts that must match a head's label.")
    analyses: AnalysisSettings = Field(description="Section 5: the five analyses.")
