"""A judge at a local server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import Api
from judged_pictures import Judge, captions_of
from PIL import Image

from vitpeel.judge.openai_judge import Terms


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("NO_PROXY", "*")
    served = Api()
    yield served
    served.close()


@pytest.fixture
def judge(api: Api, tmp_path: Path) -> Judge:
    pictures = {}
    for number, image in enumerate(("p0", "p1", "p2")):
        pictures[image] = tmp_path / f"{image}.png"
        Image.new("RGB", (40 + number, 30), (80 * number, 90, 120)).save(pictures[image])
    terms = Terms(2.5, 10.0, cap=5.0, concurrency=2, timeout=5.0, base_url=api.url, backoff=0.02, poll=0.02)
    return Judge(api, pictures, captions_of(sorted(pictures)), tmp_path / "made" / "replies.jsonl", terms)
