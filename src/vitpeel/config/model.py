"""Pictures, the captioner, how the work is cut up, and what captions are scored by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vitpeel.config import checks, origins
from vitpeel.config.section import Positive, Section

DType = Literal["float32", "float16", "bfloat16"]
ReferenceMetric = Literal["cider", "bleu4", "rougeL", "meteor"]


class DatasetSettings(Section):
    """A set of pictures. What `path` and `captions` mean depends on the kind."""

    kind: Literal["folder", "whoops", "imagenet"] = Field(
        description="Where the pictures come from: a directory of files; WHOOPS, from the hub; ImageNet's "
        "validation pictures, from the hub or from what you have."
    )
    path: Annotated[Path | None, AfterValidator(origins.pictures)] = Field(
        description="folder: directory of the pictures; its subdirectories are not searched. imagenet: a "
        "directory with all that is in it, or ILSVRC2012_img_val.tar; null: from the hub. whoops: null."
    )
    captions: Annotated[str | None, AfterValidator(origins.captions)] = Field(
        description="folder: CSV with the columns image_id and caption, one row a reference. whoops: "
        "crowd_captions, five a picture, or selected_caption. imagenet: null. null: no references, and the "
        "scores that need them are left out."
    )
    limit: Positive | None = Field(
        description="Take only so many usable pictures, the first by name; of imagenet, so many drawn by the "
        "seed; null: all."
    )


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

    kind: Literal["instructblip", "blip2"] = Field(
        description="Architecture of the checkpoint: InstructBLIP, whose Q-Former reads the prompt too, or "
        "BLIP-2, whose does not; either with a T5."
    )
    checkpoint: Annotated[Path, AfterValidator(origins.checkpoint)] = Field(
        description="Folder written by `save_pretrained`: config.json, safetensors weights, processor. Or a "
        "name of the manifest (src/vitpeel/manifest.yaml), downloaded into the cache when it is needed."
    )
    depth: Annotated[Positive, AfterValidator(origins.depth)] = Field(
        description="Blocks of the vision transformer, as the checkpoint's config.json says; layers are "
        "0 .. depth - 1."
    )
    prompt: str = Field(description="Given to the language model, and to the Q-Former of an InstructBLIP.")
    readout: Literal["post_layernorm", "none"] = Field(
        description="What every layer's output passes before the Q-Former: the model's final layer norm, or "
        "nothing."
    )
    dtype: DType = Field(description="Precision of the vision transformer's matrices; its stream is float32.")
    qformer_dtype: DType = Field(description="Precision of the Q-Former and of the projection behind it.")
    language_dtype: DType = Field(description="Precision of the language model.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="Where it runs; auto: a CUDA GPU if the job sees one. With cuda each job asks Snakemake "
        "for a GPU (resource `gpu`)."
    )
    engine: Annotated[Literal["vitpeel", "lavis"], AfterValidator(checks.engine)] = Field(
        description="Who writes the captions of the layers. vitpeel: this library. lavis: the reference, "
        "LAVIS's own modules in an environment of their own; slower. See docs/lavis.md."
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


class ParitySettings(Section):
    """How closely vitpeel and LAVIS agree (`snakemake parity`), both in float32."""

    pictures: Positive = Field(description="Pictures of the main set, drawn by the seed.")
    tolerance: float = Field(
        gt=0, description="Largest difference allowed, as a part of the largest value in that part and layer."
    )


class BertScoreSettings(Section):
    """BERTScore of each layer's caption against the last layer's."""

    model: Annotated[str, AfterValidator(origins.bertscore_model)] = Field(
        description=f"`{origins.BUNDLED_BERTSCORE}` (comes with vitpeel), a folder with a BERT-like model, "
        "or a name of the manifest: roberta-large."
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
        description="Scores against the references. cider: CIDEr; bleu4: BLEU-4; rougeL: ROUGE-L; "
        "meteor: METEOR."
    )
    bertscore: BertScoreSettings = Field(description="Against the last layer's caption.")
    bootstrap: BootstrapSettings = Field(description="Intervals of every score.")
