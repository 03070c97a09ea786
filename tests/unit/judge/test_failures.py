"""When the API misbehaves: what goes on, what stops, what is kept, what is never asked or printed."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import small_disk
from api_server import KEY, Response, answer, completion, error
from judged_pictures import Judge

from vitpeel.errors import VitpeelError
from vitpeel.judge import live
from vitpeel.judge.costs import Prices, estimate
from vitpeel.judge.criteria import series
from vitpeel.judge.faults import without_key
from vitpeel.judge.pacing import retry_after
from vitpeel.judge.questions import questions


def entries(judge: Judge, kind: str) -> list[dict[str, object]]:
    lines = judge.replies.read_text().splitlines() if judge.replies.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def only(judge: Judge, *images: str) -> Judge:
    judge.captions = judge.captions[judge.captions["image_id"].isin(images)]
    return judge


def test_a_rate_limit_holds_back_every_call(judge: Judge) -> None:
    def limit(body: dict[str, object]) -> Response:
        while len(judge.api.times) < 2:  # until another call is under way
            time.sleep(0.01)
        return error(429, "Rate limit reached", "rate_limit_exceeded", retry_after="1")

    judge.api.plan += [limit, Response(body="{}", wait=0.3)]  # the other one is unusable, and asked again
    assert len(judge.score(attempts=3, retries=0)) == 45
    _, second, *later = judge.api.times
    assert len(later) == 3 and all(moment - second > 0.95 for moment in later)


def test_retry_after_in_every_form() -> None:
    now = 1_700_000_000.0
    assert retry_after({"retry-after": "7"}, now) == 7
    assert retry_after({"retry-after-ms": "1500", "retry-after": "7"}, now) == 1.5
    assert retry_after({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, now) == pytest.approx(30)
    for useless in ({}, {"retry-after": "soon"}, {"retry-after": "-3"}, {"retry-after": "inf"}):
        assert retry_after(useless, now) is None


def test_a_rate_limit_without_retry_after_backs_off(judge: Judge) -> None:
    only(judge, "p0").api.plan += [error(429, "slow down")] * 3
    judge.score(backoff=0.1)
    gaps = [b - a for a, b in zip(judge.api.times, judge.api.times[1:], strict=False)]
    assert len(gaps) == 3 and gaps[0] > 0.07 and gaps[1] > 0.14 and gaps[2] > 0.29


def test_an_api_that_wants_us_back_tomorrow(judge: Judge) -> None:
    judge.api.plan += [error(429, "Daily limit", retry_after="36000")] * 3
    with pytest.raises(VitpeelError, match=r"wait 600 minutes in all: run `snakemake` again then"):
        judge.score()


def test_failures_of_the_api_pass(judge: Judge) -> None:
    judge.api.plan += [error(500, "oops"), error(503, "overloaded"), error(502, "bad gateway")]
    assert len(judge.score()) == 45
    assert len(judge.api.bodies) == 6


def test_failures_that_do_not_pass_are_given_up_and_the_rest_is_kept(judge: Judge) -> None:
    judge.api.plan += [Response(body=completion(answer_of("p0", judge)))]
    judge.api.plan += [error(500, "oops")] * 20
    with pytest.raises(VitpeelError, match=r"given up after 3 failures.*\(1 of 3 questions are answered"):
        judge.score(concurrency=1, retries=2)
    judge.api.plan.clear()
    judge.score()
    assert len(judge.api.bodies) == 1 + 3 + 2


def answer_of(image: str, judge: Judge) -> str:
    layers = sorted(judge.captions[judge.captions["image_id"] == image]["layer"])
    text = f"Score these layers: {', '.join(map(str, layers))}."
    return answer({"messages": [{"content": [{"text": text}]}]})


def test_a_hang_is_given_up_and_counted_as_perhaps_charged(judge: Judge) -> None:
    only(judge, "p0").api.plan += [Response(wait=9.0)]
    began = time.monotonic()
    judge.score(timeout=0.4)
    assert time.monotonic() - began < 8
    (lost,) = entries(judge, "lost")
    (reply,) = entries(judge, "reply")
    assert lost["reason"] == "no answer in time" and lost["usd"] > 0 and lost["key"] == reply["key"]


def test_a_connection_cut_in_the_middle(judge: Judge) -> None:
    only(judge, "p0").api.plan += [Response(body=completion("x" * 4000), cut_after=2000)]
    assert len(judge.score()) == 15
    assert "connection lost" in entries(judge, "lost")[0]["reason"] and len(judge.api.bodies) == 2


def test_an_api_that_is_not_there_costs_nothing(judge: Judge) -> None:
    judge.api.close()
    with pytest.raises(
        VitpeelError, match=r"127\.0\.0\.1: connection lost \(ConnectError\)\. Check the network"
    ):
        judge.score(retries=1)
    assert not entries(judge, "lost")


@pytest.mark.parametrize(
    "content, finish_reason, reason",
    [
        ('{"layers": [{"layer": 0, "enti', "length", "Invalid JSON"),
        (json.dumps({"layers": []}), "stop", "scores layers none where 0, 1, 2"),
        ("off", "stop", r"layers\.1\.entities: Input should be 1, 3 or 5"),
        ("swapped", "stop", "scores layers 1, 0, 2 where 0, 1, 2"),
        (None, "stop", "Invalid JSON"),
    ],
)
def test_replies_off_the_form(
    judge: Judge,
    caplog: pytest.LogCaptureFixture,
    content: str | None,
    finish_reason: str,
    reason: str,
) -> None:
    answered = json.loads(answer_of("p0", only(judge, "p0", "p1")))
    if content == "off":
        answered["layers"][1]["entities"] = 4
        content = json.dumps(answered)
    elif content == "swapped":
        answered["layers"][:2] = answered["layers"][1::-1]
        content = json.dumps(answered)
    bad = Response(body=completion(content, finish_reason))
    judge.api.plan += [bad]
    assert len(judge.score(concurrency=1)) == 30  # asked again, and answered well
    assert len(judge.api.bodies) == 3 and len(entries(judge, "reply")) == 3

    judge.asked = replace(judge.asked, detail="low")
    judge.api.plan += [bad, bad]
    assert set(judge.score(concurrency=1)["image_id"]) == {"p1"}  # left out after two attempts
    warning = next(r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert warning.startswith("picture p0: unusable 2 times (") and warning.endswith("; left out")
    assert re.search(reason, warning), warning
    asked = len(judge.api.bodies)
    judge.score()
    assert len(judge.api.bodies) == asked  # what was paid for and is no use is not asked a third time
    judge.score(attempts=3)
    assert len(judge.api.bodies) == asked + 1


def test_an_http_body_that_is_no_json_is_kept_and_asked_again(judge: Judge) -> None:
    only(judge, "p0").api.plan += [Response(body='{"id": "chatcmpl-1", "choices": [{"ind')]
    assert len(judge.score()) == 15
    assert [e["usd"] > 0 for e in entries(judge, "reply")] == [True, True]


@pytest.mark.parametrize(
    "refusal",
    [
        Response(body=completion(None, refusal="I cannot judge people.")),
        Response(body=completion("{", "content_filter")),
        error(400, "Your picture was rejected.", "content_policy_violation"),
    ],
)
def test_a_refusal_leaves_one_picture_out(
    judge: Judge, caplog: pytest.LogCaptureFixture, refusal: Response
) -> None:
    judge.api.plan += [refusal]
    assert set(judge.score(concurrency=1)["image_id"]) == {"p1", "p2"}
    assert "picture p0: refused (" in caplog.text
    judge.score()
    assert len(judge.api.bodies) == 3


def test_nothing_but_refusals(judge: Judge) -> None:
    judge.api.plan += [Response(body=completion(None, refusal="No."))] * 3
    with pytest.raises(VitpeelError, match=r"scored none of 3 pictures\. picture p0: refused \(No\.\)"):
        judge.score()


def test_a_wrong_key_is_one_line_without_the_key(judge: Judge, caplog: pytest.LogCaptureFixture) -> None:
    judge.key = "sk-wrong-0123456789abcdef"
    with caplog.at_level(logging.DEBUG), pytest.raises(VitpeelError) as caught:
        judge.score(concurrency=1)
    line = str(caught.value)
    assert line.startswith("OPENAI_API_KEY is refused by 127.0.0.1 (401). Set it to a valid key.")
    assert "\n" not in line and caught.value.__cause__ is None
    assert len(judge.api.bodies) == 1
    assert "0123456789" not in line + caplog.text + judge.replies.read_text()


def test_the_key_is_never_logged_or_stored(judge: Judge, caplog: pytest.LogCaptureFixture) -> None:
    judge.api.plan += [
        error(429, f"Rate limit reached for {KEY}"),
        error(500, KEY),
        error(400, f"{KEY} is rejected", "invalid_image"),
    ]
    with caplog.at_level(logging.DEBUG):
        judge.score()
        judge.api.plan += [error(400, f"Unsupported parameter, {KEY}, and sk-4f9a****7d1e")]
        judge.asked = replace(judge.asked, model="other")
        with pytest.raises(VitpeelError, match="refuses the judge's question") as caught:
            judge.score(concurrency=1)
    assert caplog.text and KEY not in caplog.text + judge.replies.read_text()
    assert "Unsupported parameter" in str(caught.value)
    assert "4f9a" not in str(caught.value) and "7d1e" not in str(caught.value)
    assert without_key("x" * 999, KEY) == "x" * 200 + "…"


@pytest.mark.parametrize(
    "response, line",
    [
        (error(404, "The model `judge` does not exist", "model_not_found"), r"judge\.openai\.model: unknown"),
        (error(403, "Project has no access"), "may not use this model"),
        (error(429, "You exceeded your quota", "insufficient_quota"), "no credit left"),
        (
            error(400, "Unsupported value: 'temperature'"),
            r"refuses the judge's question \(400\): .*temperature",
        ),
    ],
)
def test_what_cannot_pass_stops_at_once(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, response: Response, line: str
) -> None:
    def slowly(items: Iterable[object], total: int, what: str) -> Iterator[object]:
        time.sleep(0.2)  # the main thread notices late
        yield from items

    monkeypatch.setattr(live, "progress", slowly)
    judge.api.plan += [response] * 3
    with pytest.raises(VitpeelError, match=line):
        judge.score(concurrency=1)
    assert len(judge.api.bodies) == 1


def test_an_estimate_above_the_cap_asks_nothing(judge: Judge) -> None:
    with pytest.raises(
        VitpeelError, match=r"judge\.openai\.cap: 3 calls .* cap is 0\.00\. Nothing was asked"
    ):
        judge.score(cap=0.001)
    assert not judge.api.bodies and not entries(judge, "reply")


def test_the_cap_stops_cleanly_and_a_higher_one_goes_on(judge: Judge) -> None:
    dear = {"prompt_tokens": 40_000, "completion_tokens": 100}  # far more than estimated: 0.101 USD

    def charge(body: dict[str, object]) -> Response:
        reply = json.loads(completion(answer(body)))
        return Response(body=json.dumps({**reply, "usage": dear}))

    judge.api.plan += [charge] * 3
    with pytest.raises(VitpeelError, match=r"judge\.openai\.cap: 0\.20 of 0\.20 .*\(2 of 3 questions"):
        judge.score(cap=0.203, concurrency=1)
    assert len(judge.api.bodies) == 2
    with pytest.raises(VitpeelError, match=r"0\.20 are spent, but the cap is 0\.20\. Nothing was asked"):
        judge.score(cap=0.203)  # a rerun does not begin at zero
    with pytest.raises(VitpeelError, match=r"0\.20 of 0\.21 USD are spent and the next call may cost 0\.006"):
        judge.score(cap=0.207)  # the estimate fits, the most that a call may cost does not
    assert len(judge.api.bodies) == 2
    assert len(judge.score(cap=0.5)) == 45 and len(judge.api.bodies) == 3


def test_the_cap_holds_with_calls_side_by_side(judge: Judge) -> None:
    only(judge, "p0", "p1").api.pause = 0.1
    (asked,) = questions(series(judge.captions)[0], judge.asked, judge.pictures)
    cost = estimate(asked, Prices(2.5, 10.0))
    assert cost.most > 0.0035 > cost.expected  # what the server charges
    judge.score(cap=0.0035 + 1.01 * cost.most, concurrency=2)  # both fit, one after the other only
    assert judge.api.most_under_way == 1 and len(judge.api.bodies) == 2


def test_the_cap_holds_against_calls_that_are_lost(judge: Judge) -> None:
    only(judge, "p0").api.plan += [Response(body="x" * 100, cut_after=10)] * 50
    with pytest.raises(VitpeelError, match=r"judge\.openai\.cap: "):
        judge.score(cap=0.02, retries=40)
    assert sum(float(str(e["usd"])) for e in entries(judge, "lost")) < 0.03


def test_a_stop_awaits_and_keeps_what_is_under_way(judge: Judge) -> None:
    good = Response(body=completion(answer_of("p1", judge)), wait=0.4)
    judge.api.plan += [good, error(401, "no", wait="0")]
    with pytest.raises(VitpeelError, match=r"\(1 of 3 questions are answered and kept"):
        judge.score()
    assert len(entries(judge, "reply")) == 1


def test_a_full_disk_stops_before_more_is_paid_for(judge: Judge) -> None:
    src = Path(small_disk.__file__).parents[2] / "src"
    code = f"""
import sys; sys.path.insert(0, {str(src)!r})
from pathlib import Path
from vitpeel.errors import VitpeelError
from vitpeel.judge import live
from vitpeel.judge.replies import Replies
store = Replies(Path("replies.jsonl"))
store.write("reply", 1.0, key="a", body="x" * 3000)
try:
    store.write("reply", 1.0, key="b", body="x" * 300_000)
except VitpeelError as refused:
    print(refused)
print(Path("replies.jsonl").read_bytes().count(b"\\n"), Path("replies.jsonl").read_bytes()[-1:])
print(Replies(Path("replies.jsonl")).spent)
"""
    folder = judge.replies.parent
    folder.mkdir()
    said = small_disk.run(code, folder, "size=64k").splitlines()
    assert said[0].startswith(
        "replies.jsonl: a reply of the judge cannot be stored (No space left on device)"
    )
    assert said[1:] == ["1 b'\\n'", "1.0"]


def test_a_folder_that_cannot_be_written_asks_nothing(judge: Judge) -> None:
    judge.replies.parent.write_text("a file, not a folder")
    with pytest.raises(VitpeelError, match=r"replies could not be stored there|replies cannot be read"):
        judge.score()
    assert not judge.api.bodies


def test_a_torn_last_line_loses_nothing_else(judge: Judge, caplog: pytest.LogCaptureFixture) -> None:
    judge.score()
    whole = judge.replies.read_bytes()
    judge.replies.write_bytes(whole[:-100])
    assert len(judge.score()) == 45
    assert len(judge.api.bodies) == 4 and "line 3 is damaged" in caplog.text
    assert len(judge.score()) == 45 and len(judge.api.bodies) == 4


def test_two_runs_share_one_file(judge: Judge) -> None:
    others = replace(judge, captions=judge.captions[judge.captions["image_id"] == "p2"])
    only(judge, "p0", "p1")
    threads = [threading.Thread(target=own.score) for own in (judge, others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries(judge, "reply")) == 3
