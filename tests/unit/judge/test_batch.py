"""The Batch API through the real client, against the same server."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import pytest
from api_server import KEY, TOKENS, Api, Response, completion, error, finish_batch
from judged_pictures import Judge

from vitpeel.errors import VitpeelError
from vitpeel.judge.criteria import series
from vitpeel.judge.questions import questions
from vitpeel.judge.replies import Replies
from vitpeel.provenance import canonical


class KilledError(Exception):
    """Stands for a kill of the process."""


def test_a_batch_gives_what_live_calls_give(judge: Judge) -> None:
    batched = judge.score(batch=True)
    assert len(judge.api.batches) == 1
    sent = sorted(map(canonical, judge.api.bodies))
    price = 0.5 * (TOKENS["prompt_tokens"] * 2.5 + TOKENS["completion_tokens"] * 10) / 1e6
    assert Replies(judge.replies).spent == pytest.approx(3 * price)

    judge.replies.unlink()
    judge.api.bodies.clear()
    pd.testing.assert_frame_equal(judge.score(), batched)
    live = [dict(body) for body in judge.api.bodies]
    assert all(body.pop("stream") is False for body in live)  # the client says so, the default as it is
    assert sorted(map(canonical, live)) == sent  # all the rest is equal, response format and all


def test_batch_and_live_share_their_replies(judge: Judge) -> None:
    judge.score(batch=True)
    judge.score()
    assert len(judge.api.bodies) == 3


def test_a_killed_run_waits_for_its_batch_and_submits_no_other(judge: Judge) -> None:
    def kill(api: Api, batch: dict[str, Any]) -> None:
        api.on_batch = finish_batch
        raise KilledError  # cuts the connection

    judge.api.on_batch = kill
    with pytest.raises(VitpeelError, match="connection lost"):
        judge.score(batch=True, retries=0)
    assert len(judge.score(batch=True)) == 45
    assert len(judge.api.batches) == 1 and len(judge.api.bodies) == 3


def test_the_batch_is_awaited_also_when_the_next_run_asks_live(judge: Judge) -> None:
    judge.api.on_batch = lambda api, batch: batch.update(status="in_progress")
    original = judge.api.get

    def fail(path: str) -> Response:
        return error(500, "oops") if path.startswith("/v1/batches/") else original(path)

    judge.api.get = fail  # type: ignore[method-assign]
    with pytest.raises(VitpeelError, match="given up"):
        judge.score(batch=True, retries=1)
    judge.api.get = original  # type: ignore[method-assign]
    judge.api.on_batch = finish_batch
    assert len(judge.score()) == 45 and len(judge.api.bodies) == 3
    assert judge.api.batches["batch_0"]["status"] == "completed"


def test_a_batch_whose_submission_was_not_noted_is_found_again(judge: Judge) -> None:
    judge.score(batch=True)
    noted = [line for line in judge.replies.read_text().splitlines() if '"batch"' in line]
    judge.replies.write_text("")
    assert len(noted) == 1 and len(judge.score(batch=True)) == 45
    assert len(judge.api.batches) == 1 and len(judge.api.bodies) == 3


def test_what_expired_is_asked_in_another_batch(judge: Judge) -> None:
    def expire(api: Api, batch: dict[str, Any]) -> None:
        api.on_batch = finish_batch
        finish_batch(api, batch, "expired", answered=2)

    judge.api.on_batch = expire
    assert len(judge.score(batch=True)) == 45
    assert len(judge.api.batches) == 2 and len(judge.api.bodies) == 3


def test_a_batch_that_answers_nothing_stops(judge: Judge) -> None:
    judge.api.on_batch = partial(finish_batch, status="expired", answered=0)
    with pytest.raises(VitpeelError, match="batch_0 ended without a single answer"):
        judge.score(batch=True)
    assert len(judge.api.batches) == 1


def test_a_batch_that_is_not_accepted(judge: Judge) -> None:
    def reject(api: Api, batch: dict[str, Any]) -> None:
        fault = {
            "code": "token_limit_exceeded",
            "message": f"Enqueued token limit reached {KEY}",
            "line": None,
        }
        batch.update(status="failed", errors={"object": "list", "data": [fault]})

    judge.api.on_batch = reject
    with pytest.raises(VitpeelError, match=r"batch_0 was not accepted: Enqueued token limit reached <key>"):
        judge.score(batch=True)


def test_replies_off_the_form_and_refusals_in_a_batch(judge: Judge) -> None:
    judge.api.plan += [
        Response(body=completion('{"layers"', "length")),
        Response(body=completion(None, refusal="No.")),
    ]
    scores = judge.score(batch=True)
    assert set(scores["image_id"]) == {"p0", "p2"}  # p0 in a second batch
    assert len(judge.api.batches) == 2 and len(judge.api.bodies) == 4


def test_a_picture_refused_in_a_batch(judge: Judge) -> None:
    judge.api.plan += [error(400, "rejected", "content_policy_violation")]
    assert set(judge.score(batch=True)["image_id"]) == {"p1", "p2"}
    judge.score(batch=True)
    assert len(judge.api.batches) == 1


def test_a_batch_holds_only_what_the_cap_allows(judge: Judge) -> None:
    # a call may cost 0.0038 USD by batch, and costs 0.00175
    with pytest.raises(VitpeelError, match=r"judge\.openai\.cap: .*of 3 questions are answered"):
        judge.score(batch=True, cap=0.0059)
    asked = len(judge.api.bodies)
    assert 0 < asked < 3
    assert len(judge.score(batch=True, cap=1.0)) == 45 and len(judge.api.bodies) == 3


def test_a_wrong_key(judge: Judge) -> None:
    judge.key = "sk-wrong"
    with pytest.raises(VitpeelError, match="OPENAI_API_KEY is refused"):
        judge.score(batch=True)


def test_a_batch_that_the_account_no_longer_knows_is_asked_again(judge: Judge) -> None:
    asked = [q for own in series(judge.captions) for q in questions(own, judge.asked, judge.pictures)]
    judge.replies.parent.mkdir()
    Replies(judge.replies).write("batch", id="batch_of_old", calls=[[q.key, q.image_id] for q in asked])
    assert len(judge.score()) == 45 and len(judge.api.bodies) == 3


def test_a_batch_whose_results_are_deleted_is_asked_again(judge: Judge) -> None:
    judge.score(batch=True)
    judge.replies.write_text("")
    deleted, original = {batch["output_file_id"] for batch in judge.api.batches.values()}, judge.api.get

    def get(path: str) -> Response:
        gone = any(path.startswith(f"/v1/files/{name}/") for name in deleted)
        return error(404, "No such File object") if gone else original(path)

    judge.api.get = get  # type: ignore[method-assign]
    with pytest.raises(VitpeelError, match="without a single answer"):
        judge.score(batch=True)
    assert len(judge.score(batch=True)) == 45 and len(judge.api.batches) == 2
