"""One judge or the other: the same scores live and from stored replies, and who gave them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from api_server import KEY
from judged_pictures import Judge, captions_of

from vitpeel import caption_tables, tables
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import ProvenanceError, VitpeelError
from vitpeel.judge import judging
from vitpeel.judge.costs import picture_tokens
from vitpeel.judge.criteria import METRICS
from vitpeel.judge.mentions import any_object
from vitpeel.judge.openai_judge import Terms
from vitpeel.provenance import Provenance

ASKED = {"model": "judge-2024-08-06", "calls": "image", "detail": "low", "reasoning": "none"}


def settings(judge: Judge) -> dict[str, Any]:
    """As judge.openai of the configuration: terms, and more than terms."""
    terms = judge.terms
    return {
        **ASKED,
        "usd_per_million_input": terms.usd_per_million_input,
        "usd_per_million_output": terms.usd_per_million_output,
        "cap": terms.cap,
        "timeout": terms.timeout,
        "base_url": terms.base_url,
        "replies": str(judge.replies),
    }


def scored(judge: Judge, key: str | None, **asked: object) -> tuple[pd.DataFrame, dict[str, object]]:
    pictures = [Picture(image, path) for image, path in judge.pictures.items()]
    who = {"kind": "openai", "layers": [0, 2], "asked": {**ASKED, **asked}}
    return judging.score(judge.captions, pictures, who, settings(judge), key)


def test_stored_replies_give_the_same_scores_without_a_key_or_a_network(judge: Judge) -> None:
    live, who = scored(judge, KEY)
    assert len(live) == 3 * 3 * len(METRICS) and who["reasoning"] == "none"
    judge.api.close()
    recorded, _ = scored(judge, None)
    pd.testing.assert_frame_equal(recorded, live)
    assert len(judge.api.bodies) == 3
    assert KEY not in judge.replies.read_text()


def test_without_replies_a_key_is_needed(judge: Judge) -> None:
    with pytest.raises(VitpeelError, match="OPENAI_API_KEY is not set, and 3 questions"):
        scored(judge, None)


@pytest.mark.parametrize(("reasoning", "sent"), [("none", "none"), (None, None)])
def test_reasoning_effort_goes_with_temperature_0(judge: Judge, reasoning: str | None, sent: object) -> None:
    scored(judge, KEY, reasoning=reasoning)
    for body in judge.api.bodies:
        assert body["temperature"] == 0 and body.get("reasoning_effort") == sent
    assert ("reasoning_effort" in judge.api.bodies[0]) == (sent is not None)


@pytest.mark.parametrize("change", [{"reasoning": None}, {"detail": "high"}, {"calls": "layer"}])
def test_what_changes_the_answers_is_asked_anew(judge: Judge, change: dict[str, object]) -> None:
    scored(judge, KEY)
    scored(judge, KEY, **change)
    assert len(judge.api.bodies) == 3 + (9 if "calls" in change else 3)


def test_the_terms_are_told_from_other_settings(judge: Judge) -> None:
    assert Terms.among({**settings(judge), "batch": True}) == replace(
        judge.terms, batch=True, concurrency=4, backoff=1.0, poll=30.0
    )


def test_the_rubric_needs_no_settings_of_the_other() -> None:
    pictures = [Picture("p0", Path("p0.png"), ("a giraffe on a snowy mountain",))]
    table, who = judging.score(captions_of(["p0"]), pictures, {"kind": "rubric"}, {}, None)
    assert table["value"].tolist()[-1] == 5 and who["name"] == "offline rubric"


@pytest.mark.parametrize(
    ("origin", "name", "about"),
    [
        ({"kind": "rubric", "name": "offline rubric"}, "offline rubric", "not a language model"),
        ({"kind": "openai", "name": "m-1"}, "m-1", "asked through OpenAI's API"),
    ],
)
def test_the_table_says_who_judged(
    origin: dict[str, str], name: str, about: str, judge: Judge, tmp_path: Path
) -> None:
    made = caption_tables.derived(Provenance(checkpoint="c"), judge=origin, layers=[0, 2])
    tables.write_table(tmp_path / "judge.parquet", scored(judge, KEY)[0], tables.SCORES, made)
    found = judging.who(tables.origin_of(tmp_path / "judge.parquet"), tmp_path / "judge.parquet")
    assert found == judging.Who(name, about)


@pytest.mark.parametrize("config", [None, "{}", "no json", json.dumps({"judge": {"kind": "x"}})])
def test_a_table_that_does_not_say_who_judged(config: str | None) -> None:
    with pytest.raises(ProvenanceError, match=r"judge\.parquet: does not say who judged\. Delete it"):
        judging.who(Provenance(config=config), Path("judge.parquet"))


@pytest.mark.parametrize(
    ("width", "height", "detail", "least"),
    [
        # what OpenAI's guide gives for gpt-4o, and what patches of 32 pixels come to for later models
        (768, 768, "high", 765),
        (768, 1536, "high", 1105),
        (512, 512, "low", 85),
        (1024, 1024, "high", 1024),
    ],
)
def test_a_picture_is_never_estimated_below_its_tokens(
    width: int, height: int, detail: Any, least: int
) -> None:
    assert least <= picture_tokens(width, height, detail) <= 2.5 * max(least, 256)


def test_words_that_the_rubric_understands() -> None:
    assert any_object(["something outdoors", "two giraffe on a hill"])
    assert not any_object(["a large animal in the snow", "a man in a suit", ""])
