"""The experiments of sections 3.3 to 4.4, and where the paper leaves a choice the choice.

The first of several allowed values is this project's reading; the others are alternatives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vitpeel.config import checks
from vitpeel.config.section import LayerRange, NonEmpty, Positive, Section, Share

HeadReading = Literal["alone", "left out", "bare"]
Mask = Annotated[dict[int, Annotated[tuple[int, ...], Field(min_length=1)]], Field(min_length=1)]


class OutlierSettings(Section):
    """Outlier tokens on heatmaps: how they are found and what is done about them."""

    rule: Literal["mad", "absolute", "top", "off"] = Field(
        description="mad: a norm above median + k MAD of the picture's patches in that layer; absolute: a "
        "norm above `norm`; top: the part `share` of the patches with the largest norms; off: none."
    )
    k: float = Field(gt=0, description="For mad: how many median absolute deviations above the median.")
    norm: float = Field(gt=0, description="For absolute: the largest ordinary norm.")
    share: Share = Field(description="For top: the part of the patches that are outliers.")
    fill: Literal["inpainted", "masked"] = Field(
        description="What an outlier's place gets: the mean of its neighbours, or nothing."
    )
    renormalise: bool = Field(description="Scale a map so that its sum stays what it was.")


class PerspectiveSettings(Section):
    """Data flow, heatmap and language (sections 3.3 to 3.5)."""

    token: Annotated[int, Field(ge=0)] = Field(
        description="Token whose update is taken apart (Equations 5 and 6): 0 is CLS, patches follow by row."
    )
    bias: Literal["component", "heads"] = Field(
        description="Bias of the attention's output: a component of its own, or split over the heads."
    )
    heatmap: Literal["map", "literal", "rollout"] = Field(
        description="Equation 7 where layers are compared. map: attention to each patch, mean over heads; "
        "literal: its sum over patches, as printed; rollout: attention followed through the layers below."
    )
    outliers: OutlierSettings = Field(
        description="Outlier tokens on maps; literal and rollout leave none out where layers are compared."
    )
    language: Annotated[tuple[Literal["bleu4", "rougeL", "bertscore", "cider"], ...], Field(min_length=1)] = (
        Field(
            description="Metrics of Equation 9, the change of the caption from layer to layer; the first one "
            "is drawn large and makes the figure's title."
        )
    )


class LowerSettings(Section):
    """Section 4.2, Figure 2 and appendix A."""

    layers: LayerRange = Field(description="Lower layers, averaged one at a time (red).")
    middle: Annotated[tuple[int, int], AfterValidator(checks.range_after_lower)] = Field(
        description="Lower-middle layers, averaged one at a time (yellow) and all together (blue)."
    )
    place: Literal["input", "normed", "output"] = Field(
        description="What is averaged. input: the block's input, before its norm; normed: after it; output: "
        "of the attention. The skip stays the picture's."
    )
    vector: Literal["per position", "one"] = Field(
        description="A mean for every position, or one vector, the mean over positions, in all of them."
    )
    means_from: Literal["all", "half"] = Field(
        description="all: the captioned pictures themselves (as the paper, and leaky); half: a seeded half "
        "of them, and the other half is captioned."
    )
    other: Annotated[str, AfterValidator(checks.other_dataset)] | None = Field(
        description="Set of pictures whose means make the green curve: one of datasets; null: no green curve."
    )
    other_sample: Positive | None = Field(
        description="How many of its pictures, drawn by the seed, are averaged; null: all."
    )
    confusion: Literal["skip", "stream"] = Field(
        description="What the mean replaces in the confusion experiment: the skip, or the whole stream."
    )
    baseline: Annotated[float, Field(ge=0, lt=1)] | Literal["measured"] | None = Field(
        description="Rescales BERTScore to (F1 - b) / (1 - b). A number b; measured: the mean F1 of unedited "
        "captions of different pictures; null: as it is."
    )


class AskingSettings(Section):
    """How OpenAI's API is asked. The key is read from the environment variable OPENAI_API_KEY."""

    model: NonEmpty = Field(
        description="Dated name of a model that answers by a JSON schema, so that its answers do not drift; "
        "the judge's must read pictures."
    )
    reasoning: Literal["none"] | None = Field(
        description="Sent as reasoning_effort. none: with it alone reasoning models allow temperature 0; "
        "null: not sent, for models that know no such thing."
    )
    usd_per_million_input: float = Field(ge=0, description="The model's price, USD.")
    usd_per_million_output: float = Field(ge=0, description="The model's price, USD.")
    cap: float = Field(gt=0, description="USD that the replies' file may cost in all, over all runs.")
    concurrency: Positive = Field(description="Calls under way at a time.")
    timeout: float = Field(gt=0, description="Seconds until a silent call is given up.")
    retries: Annotated[int, Field(ge=0)] = Field(description="Repetitions after passing faults.")
    attempts: Positive = Field(
        description="How often a question is asked while its replies are off the form."
    )
    batch: bool = Field(description="By the Batch API: half the price, an answer within a day.")
    poll: float = Field(gt=0, description="Seconds between looks at a batch.")
    base_url: NonEmpty | None = Field(
        description="Another endpoint that answers as OpenAI's does; null: none."
    )
    replies: Annotated[Path, AfterValidator(checks.outside_results)] = Field(
        description="File of raw replies, JSON lines; grows only. With it nobody needs a key: keep it."
    )


class OpenAISettings(AskingSettings):
    """How the judge asks OpenAI's API. The key is read from the environment variable OPENAI_API_KEY."""

    calls: Literal["image", "layer"] = Field(
        description="image: one call a picture, all its layers; layer: a call a layer, beside the one before."
    )
    detail: Literal["high", "low"] = Field(description="At what size the API looks at the picture.")


class JudgeSettings(Section):
    """Figure 4's four criteria, and Figure 5."""

    kind: Literal["rubric", "openai"] = Field(
        description="rubric: computed offline from the demo's word hierarchy, for the demo's world only; "
        "openai: a vision-language model of OpenAI's API."
    )
    layers: Annotated[LayerRange, AfterValidator(checks.several_layers)] = Field(
        description="First and last layer judged; the first one's information content is 3 (Figure 4)."
    )
    openai: OpenAISettings = Field(description="How OpenAI's API is asked.")


class HeadSettings(Section):
    """Figure 6 and appendix D."""

    reading: HeadReading = Field(
        description="What reading one head means. alone: the stream before plus this head, then the MLP; "
        "left out: all heads but this one; bare: this head's output by itself."
    )
    masks: Annotated[tuple[Mask, ...], Field(min_length=1), AfterValidator(checks.masks)] = Field(
        description="Appendix D: combinations of heads that are masked together, each a mapping from layers "
        "to heads, such as {27: [0, 1]}."
    )


class ConvergenceSettings(Section):
    """From which layer on a picture's caption counts as converged."""

    rule: Literal["final", "bertscore"] = Field(
        description="final: every later caption equals the last; bertscore: every later one has at least "
        "`threshold` F1 with the last."
    )
    threshold: Share = Field(description="For bertscore: the least F1.")


class PruningSettings(Section):
    """Algorithm 1 and Table 1."""

    sample: Positive = Field(
        description="Pictures, drawn by the seed, that heads are scored on; the others evaluate (Table 1)."
    )
    layers: LayerRange = Field(description="First and last layer whose heads are scored and pruned.")
    reading: HeadReading = Field(description="How a head is decoded, as heads.reading.")
    temperature: float = Field(gt=0, description="tau of softmax(score / tau).")
    coefficients: Literal["normalised", "literal", "none"] = Field(
        description="Factor of each head that stays. normalised: H * softmax, mean one; literal: softmax, as "
        "printed; none: one."
    )
    select: Literal["lowest", "threshold"] = Field(
        description="Heads that are pruned. lowest: the `count` lowest of each layer; threshold: those whose "
        "H * softmax is below `threshold`."
    )
    count: Annotated[Positive, AfterValidator(checks.leaves_heads)] = Field(
        description="For lowest: heads pruned in each layer."
    )
    threshold: float = Field(gt=0, description="For threshold: the least H * softmax that stays.")
    order: Literal["joint", "greedy"] = Field(
        description="joint: all layers scored on the unpruned model; greedy: each on the model pruned so far."
    )
    random_draws: Positive = Field(description="Random prunings that the result is compared with.")
    convergence: ConvergenceSettings = Field(description="Convergence layer of Table 1.")
