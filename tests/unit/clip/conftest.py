"""A small CLIP from its files, and no gradients anywhere."""

from collections.abc import Iterator

import pytest
import tiny_clip
import torch

from vitpeel.models import openclip
from vitpeel.models.openclip import Clip


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    folder = tmp_path_factory.mktemp("clip")
    tiny_clip.save(folder)
    return openclip.load(folder, device="cpu")
