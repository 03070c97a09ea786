"""model.engine: which precisions the reference engine runs in."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vitpeel.config import Settings, load
from vitpeel.errors import ConfigError

ROOT = Path(__file__).parents[3]


def configured(**changes: str) -> Settings:
    mapping: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    return load({**mapping, "model": {**mapping["model"], "engine": "lavis", **changes}}, ROOT)


def test_float32_and_on_a_gpu_lavis_s_own_mixture() -> None:
    mixture = {"dtype": "float16", "qformer_dtype": "float32", "language_dtype": "bfloat16"}
    assert configured().model.engine == "lavis"
    assert configured(device="cuda", **mixture).model.dtype == "float16"
    with pytest.raises(ConfigError, match=r"model.engine: lavis, but the precision is float16, float32, bfl"):
        configured(device="cpu", **mixture)
    with pytest.raises(ConfigError, match=r"Set dtype, qformer_dtype and language_dtype to float32, or on a"):
        configured(device="cuda", language_dtype="bfloat16")
