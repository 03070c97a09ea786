"""What every part of the configuration is made of: the strict section, and the types that several share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vitpeel.config import checks, origins


class Section(BaseModel):
    """Every part of the configuration: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Name = Annotated[str, AfterValidator(checks.file_name)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
NonEmpty = Annotated[str, Field(min_length=1)]
LayerRange = Annotated[tuple[int, int], AfterValidator(checks.layer_range)]
Layers = Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(checks.layers)]
Layer = Annotated[int, AfterValidator(checks.layer)]
Images = Annotated[tuple[NonEmpty, ...], Field(min_length=1), AfterValidator(origins.images_of_main)]
Image = Annotated[str, Field(min_length=1), AfterValidator(origins.image_of_main)]
