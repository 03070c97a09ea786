"""The real openai client against a server that answers as the API does."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from api_server import KEY, TOKENS, completion
from judged_pictures import Judge, captions_of
from PIL import Image

from vitpeel import tables
from vitpeel.errors import InputError, VitpeelError
from vitpeel.judge import openai_judge
from vitpeel.judge.criteria import METRICS
from vitpeel.provenance import Provenance


def entries(judge: Judge) -> list[dict[str, object]]:
    return [json.loads(line) for line in judge.replies.read_text().splitlines()]


def test_the_scores_of_every_layer(judge: Judge, tmp_path: Path) -> None:
    scores = judge.score()
    assert len(scores) == 3 * 3 * 5 and set(scores["metric"]) == set(METRICS)
    wide = scores[scores["image_id"] == "p1"].pivot(index="layer", columns="metric", values="value")
    assert wide["judge_entities"].tolist() == [1, 3, 5]
    # the first layer's information content is 3, whatever the model says
    assert wide["judge_information"].tolist() == [3, 3, 5]
    assert wide["judge_mean"].tolist() == [1.5, 3, 5]
    tables.write_table(tmp_path / "scores.parquet", scores, tables.SCORES, Provenance())


def test_what_is_sent(judge: Judge) -> None:
    judge.score()
    assert len(judge.api.bodies) == 3
    body = next(b for b in judge.api.bodies if "says p1" in b["messages"][0]["content"][0]["text"])
    assert (body["model"], body["temperature"]) == ("judge-2024-08-06", 0)
    assert body["max_completion_tokens"] >= 3 * 40
    text, picture = body["messages"][0]["content"]
    assert 'Layer 2: "a giraffe on a snowy mountain, says p1"' in text["text"] and "$" not in text["text"]
    assert "Layer 0: " in text["text"] and text["text"].count(", says p1") == 3
    head, data = picture["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64" and picture["image_url"]["detail"] == "high"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (41, 30)
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] and schema["schema"]["additionalProperties"] is False


def test_a_rerun_asks_nothing_and_needs_no_key(judge: Judge) -> None:
    first = judge.score()
    judge.api.close()
    judge.key = None
    pd.testing.assert_frame_equal(judge.score(), first)
    assert len(judge.api.bodies) == 3


def test_only_what_is_new_is_asked(judge: Judge) -> None:
    judge.score()
    changed = judge.captions.copy()
    changed.loc[changed["image_id"] == "p2", "caption"] += ", now"
    judge.captions = changed
    judge.score()
    assert len(judge.api.bodies) == 4
    Image.new("RGB", (40, 30)).save(judge.pictures["p0"].with_suffix(".jpg"))
    judge.pictures["p0"] = judge.pictures["p0"].with_suffix(".jpg")
    judge.score()
    assert len(judge.api.bodies) == 5
    judge.asked = replace(judge.asked, model="judge-2025-01-01")
    judge.score()
    assert len(judge.api.bodies) == 8


def test_a_call_a_layer(judge: Judge) -> None:
    judge.asked = replace(judge.asked, calls="layer")
    scores = judge.score()
    assert len(judge.api.bodies) == 9 and len(scores) == 45
    texts = [body["messages"][0]["content"][0]["text"] for body in judge.api.bodies]
    last = next(t for t in texts if "Score these layers: 2." in t and "says p0" in t)
    assert "Layer 1: " in last and "Layer 0: " not in last
    first = scores[(scores["layer"] == 0) & (scores["metric"] == "judge_information")]
    assert (first["value"] == 3).all()


def test_equal_questions_are_asked_once(judge: Judge) -> None:
    twin = judge.captions[judge.captions["image_id"] == "p0"].assign(variant="heads pruned")
    judge.captions = pd.concat([judge.captions, twin], ignore_index=True)
    scores = judge.score()
    assert len(judge.api.bodies) == 3 and set(scores["variant"]) == {"unedited", "heads pruned"}


def test_calls_go_out_side_by_side_but_no_more_than_allowed(judge: Judge) -> None:
    judge.api.pause = 0.4
    judge.captions = pd.concat(
        [judge.captions, captions_of(["p0", "p1", "p2"], 2).assign(variant="b")], ignore_index=True
    )
    judge.score(concurrency=3)
    assert judge.api.most_under_way == 3 and len(judge.api.bodies) == 6


def test_the_cost_is_stored_and_logged(judge: Judge, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        judge.score()
    price = (TOKENS["prompt_tokens"] * 2.5 + TOKENS["completion_tokens"] * 10) / 1e6
    assert [e["usd"] for e in entries(judge)] == pytest.approx([price] * 3)
    assert "3 calls to judge-2024-08-06: about 0.0" in caplog.text
    assert "answered by judge-2024-08-06" in caplog.text


def test_without_a_key(judge: Judge) -> None:
    judge.key = " "
    with pytest.raises(VitpeelError, match=r"OPENAI_API_KEY is not set, and 3 questions .*replies\.jsonl"):
        judge.score()
    assert not judge.api.bodies


def test_a_key_with_a_line_break_is_not_printed(judge: Judge, caplog: pytest.LogCaptureFixture) -> None:
    judge.key = f"{KEY}\nX-Header: 1"
    with pytest.raises(VitpeelError, match="OPENAI_API_KEY holds a space") as caught:
        judge.score()
    assert KEY not in str(caught.value) + caplog.text and caught.value.__cause__ is None


def test_pictures_that_are_not_there(judge: Judge) -> None:
    judge.pictures["p1"].unlink()
    with pytest.raises(InputError, match=r"p1\.png: the picture cannot be read"):
        judge.score()
    del judge.pictures["p1"]
    with pytest.raises(VitpeelError, match="picture p1: captioned, but not in the table"):
        judge.score()


def test_the_origin_says_who_judged(judge: Judge) -> None:
    told = openai_judge.origin(judge.asked)
    assert (told["kind"], told["name"]) == ("openai", "judge-2024-08-06")
    assert openai_judge.origin(replace(judge.asked, calls="layer")) != told


def test_what_is_stored_is_the_raw_reply(judge: Judge) -> None:
    judge.score()
    stored = {e["image_id"]: json.loads(e["body"]) for e in entries(judge)}
    assert set(stored) == {"p0", "p1", "p2"}
    assert stored["p0"] == json.loads(completion(stored["p0"]["choices"][0]["message"]["content"]))
