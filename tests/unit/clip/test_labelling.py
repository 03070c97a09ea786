"""Labels by in-context learning: the real openai client against a server that answers as the API does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_server import KEY, TOKENS, Api, Response, completion, error

from vitpeel.clip import labelling, labels
from vitpeel.clip.head_texts import Head
from vitpeel.clip.labelling import Asked
from vitpeel.clip.lexicon import Labelled
from vitpeel.errors import VitpeelError
from vitpeel.judge.asking import Terms

HEADS = (
    Head("small", 10, 0, ("a red car", "a green tree", 'a "blue" $5 sky')),
    Head("small", 10, 1, ("an owl", "a bus", "a cat")),
    Head("small", 11, 0, ("a", "b", "c")),
)
LABELS = {"a red car": ("colors", [1, 2, 3]), "an owl": (" animals ", [3, 1]), "a": ("None", [2])}
ASKED = Asked("labeller-2025-01-01", "none")


def asked_texts(body: dict[str, Any]) -> list[str]:
    """The texts of the head to be labelled, as they were sent."""
    said = body["messages"][0]["content"][0]["text"].split("The head to be labelled:")[1]
    return [json.loads(line) for line in re.findall(r"^\d+\. (.*)$", said, re.M)]


def answer(body: dict[str, Any]) -> str:
    label, matches = LABELS[asked_texts(body)[0]]
    return json.dumps({"label": label, "matches": matches})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("NO_PROXY", "*")
    served = Api(answer)
    yield served
    served.close()


@pytest.fixture
def terms(api: Api) -> Terms:
    return Terms(2.5, 10.0, cap=5.0, concurrency=2, timeout=5.0, base_url=api.url, backoff=0.02, poll=0.02)


def test_every_head_gets_its_label(api: Api, terms: Terms, tmp_path: Path) -> None:
    found = labelling.label(HEADS, ASKED, terms, tmp_path / "replies.jsonl", KEY)
    assert found == [
        Labelled("colors", (True, True, True)),
        Labelled("animals", (True, False, True)),
        Labelled("none", (False, False, False)),  # in which nothing can match
    ]


def test_what_is_sent(api: Api, terms: Terms, tmp_path: Path) -> None:
    labelling.label(HEADS[:1], ASKED, terms, tmp_path / "replies.jsonl", KEY)
    (body,) = api.bodies
    assert (body["model"], body["temperature"], body["reasoning_effort"]) == (ASKED.model, 0, "none")
    assert asked_texts(body) == list(HEADS[0].texts)
    text = body["messages"][0]["content"][0]["text"]
    assert len(body["messages"][0]["content"]) == 1 and "$EXAMPLES" not in text
    examples = yaml.safe_load((Path(labelling.__file__).parent / "examples.yaml").read_text())
    assert len(examples) == 5
    for example in examples:
        given = {"label": example["label"], "matches": example["matches"]}
        assert f'10. "{example["texts"][9]}"\n{json.dumps(given, separators=(",", ":"))}' in text
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] and schema["schema"]["required"] == ["label", "matches"]
    assert body["max_completion_tokens"] >= 100


def test_a_rerun_asks_nothing_and_equal_heads_are_asked_once(api: Api, terms: Terms, tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    twins = [*HEADS, replace(HEADS[0], model="large", layer=3)]
    first = labelling.label(twins, ASKED, terms, replies, KEY)
    assert len(api.bodies) == 3 and first[3] == first[0]
    api.close()
    assert labelling.label(twins, ASKED, terms, replies, None) == first
    stored = [json.loads(line) for line in replies.read_text().splitlines()]
    assert {entry["head"] for entry in stored} == {f"{head.name} of small" for head in HEADS}
    price = (TOKENS["prompt_tokens"] * 2.5 + TOKENS["completion_tokens"] * 10) / 1e6
    assert [entry["usd"] for entry in stored] == pytest.approx([price] * 3)


def test_more_texts_or_another_model_is_another_question() -> None:
    keys = {
        labelling.question(head, asked).key
        for head in (HEADS[0], replace(HEADS[0], texts=HEADS[0].texts[:2]))
        for asked in (ASKED, replace(ASKED, model="other"), replace(ASKED, reasoning=None))
    }
    assert len(keys) == 6
    other = replace(HEADS[0], model="large", layer=1)
    assert labelling.question(other, ASKED).key == labelling.question(HEADS[0], ASKED).key


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"label": "colors", "matches": [4]}, r"it names texts \[4\] of 3"),
        ({"label": "colors", "matches": [0]}, r"it names texts \[0\] of 3"),
        ({"label": "colors", "matches": [1, 1]}, r"it names texts \[1, 1\] of 3"),
        ({"label": " ", "matches": [1]}, "its label has 0 characters"),
        ({"label": "x" * 41, "matches": [1]}, "its label has 41 characters; 1 to 40 are allowed"),
        ({"label": "colors"}, "matches: Field required"),
    ],
)
def test_answers_off_the_form_are_asked_again_then_refused(
    api: Api, terms: Terms, tmp_path: Path, content: dict[str, object], reason: str
) -> None:
    bad = Response(body=completion(json.dumps(content)))
    api.plan += [bad]
    found = labelling.label(HEADS[:1], ASKED, terms, tmp_path / "a.jsonl", KEY)
    assert found[0].label == "colors" and len(api.bodies) == 2
    api.plan += [bad, bad]
    with pytest.raises(VitpeelError) as caught:
        labelling.label(HEADS[:2], ASKED, replace(terms, concurrency=1), tmp_path / "b.jsonl", KEY)
    line = str(caught.value)
    assert line.startswith("1 of 2 heads got no label, first L10.H0 of small: unusable 2 times (")
    assert re.search(reason, line) and "clip.labels.overrides" in line
    # the other one is kept
    assert labelling.label(HEADS[1:2], ASKED, terms, tmp_path / "b.jsonl", None)[0].label == "animals"


def test_a_refusal_is_said_and_a_person_s_label_goes_round_it(api: Api, terms: Terms, tmp_path: Path) -> None:
    openai = {**vars(terms), "replies": str(tmp_path / "replies.jsonl")}
    labeller = {"kind": "openai", "asked": {"model": ASKED.model, "reasoning": "none"}}
    api.plan += [Response(body=completion(None, refusal="No."))]
    with pytest.raises(VitpeelError, match=r"L10\.H0 of small: refused \(No\.\)"):
        labels.table(HEADS, (), labeller, {**openai, "concurrency": 1}, KEY)
    by_hand = [labels.Override("f: line 2", "small", 10, 0, "hues", 3)]
    found, origin = labels.table(HEADS, (), labeller, openai, KEY, by_hand)
    assert found["label"].tolist() == ["hues", "animals", "none"]
    assert found["source"].tolist() == ["human", "openai", "openai"]
    assert found["matches"].tolist() == [3, 2, 0]
    assert (origin["kind"], origin["name"], origin["by hand"]) == ("openai", ASKED.model, 1)
    assert len(api.bodies) == 3


def test_faults_name_the_labeller_and_its_settings(api: Api, terms: Terms, tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    with pytest.raises(
        VitpeelError, match=r"3 questions to the labeller are .*, or set clip\.labels\.kind to lexicon"
    ):
        labelling.label([*HEADS, replace(HEADS[0], model="large")], ASKED, terms, replies, None)
    with pytest.raises(VitpeelError, match=r"clip\.labels\.openai\.cap: 3 calls .*Nothing was asked"):
        labelling.label(HEADS, ASKED, replace(terms, cap=0.001), replies, KEY)
    assert not api.bodies
    api.plan += [error(404, "no such model", "model_not_found")]
    with pytest.raises(VitpeelError, match=r"clip\.labels\.openai\.model: unknown to the API"):
        labelling.label(HEADS, ASKED, replace(terms, concurrency=1), replies, KEY)
    api.plan += [error(400, "Unsupported value")]
    with pytest.raises(VitpeelError, match=r"The API refuses the labeller's question \(400\)"):
        labelling.label(HEADS, ASKED, replace(terms, concurrency=1), replies, KEY)


def test_passing_faults_pass_and_a_batch_gives_the_same(api: Api, terms: Terms, tmp_path: Path) -> None:
    api.plan += [error(500, "oops"), error(429, "slow down")]
    live = labelling.label(HEADS, ASKED, terms, tmp_path / "live.jsonl", KEY)
    assert len(api.bodies) == 5
    batched = labelling.label(HEADS, ASKED, replace(terms, batch=True), tmp_path / "batch.jsonl", KEY)
    assert batched == live and len(api.batches) == 1


def test_the_origin_changes_with_what_is_asked() -> None:
    told = labelling.origin(ASKED)
    assert (told["kind"], told["name"]) == ("openai", ASKED.model) and len(str(told["prompt"])) == 16
    assert labelling.origin(replace(ASKED, reasoning=None)) != told
