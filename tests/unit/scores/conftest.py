"""A small captioner's output, for every score."""

from __future__ import annotations

import pandas as pd
import pytest
from captioned_pictures import build_captions


@pytest.fixture
def captioned() -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """12 pictures, 4 layers, one empty caption."""
    return build_captions(12, 4)
