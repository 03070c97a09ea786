"""What the figures show. What they are computed from is in the sections of the experiments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vitpeel.config import checks
from vitpeel.config.section import Images, Layer, LayerRange, Layers, Section


class PageSettings(Section):
    """Pictures with heatmap and caption at some layers, a page a picture."""

    images: Images = Field(description="Pictures of the main set, by image id (file name without suffix).")
    layers: Layers = Field(description="Layers that get a panel.")


class OutlierFigureSettings(PageSettings):
    """Heatmaps with and without outlier tokens, and how they change, on page two of the perspectives."""

    layers: Annotated[Layers, Field(max_length=6)] = Field(description="Layers that get a panel.")


class Fig3Settings(Section):
    """Figure 3: a score over the upper layers, and over all."""

    metric: Annotated[
        Literal["cider", "bleu4", "rougeL", "meteor", "bertscore"], AfterValidator(checks.scored_metric)
    ] = Field(description="Score drawn; one of scores.references, or bertscore.")
    layers: LayerRange = Field(description="First and last of the upper layers.")


class Fig5Settings(Section):
    """Figure 5: the judge's scores over the middle layers, and over all."""

    layers: Annotated[
        LayerRange, AfterValidator(checks.several_layers), AfterValidator(checks.judged_layers)
    ] = Field(description="First and last of the middle layers, inside judge.layers.")


class JudgedPageSettings(PageSettings):
    """Pictures with the judge's scores of some layers, a page a picture."""

    layers: Annotated[Layers, AfterValidator(checks.judged_layers)] = Field(
        description="Layers that get a row, inside judge.layers."
    )


class Fig6Settings(Section):
    """Figure 6: what every head of a layer looks at and says, a page a picture."""

    images: Images = Field(description="Pictures of the main set, by image id.")
    layer: Layer = Field(description="Layer whose heads are shown, beside the output of the layer before it.")


class FigureSettings(Section):
    """What the figures show. Every figure is written as PDF and as PNG."""

    fig1: PageSettings = Field(description="Figure 1: heatmap and caption of chosen layers.")
    fig3: Fig3Settings = Field(description="Figure 3.")
    fig5: Fig5Settings = Field(description="Figure 5.")
    fig6: Fig6Settings = Field(description="Figure 6.")
    outliers: OutlierFigureSettings = Field(description="Heatmaps with and without outlier tokens.")
    appendix_a: Images = Field(description="Appendix A: pictures whose edited captions are shown.")
    appendix_b: PageSettings = Field(description="Appendix B: more pages like those of Figure 1.")
    appendix_c: JudgedPageSettings = Field(
        description="Appendix C: captions of chosen layers with their scores."
    )
