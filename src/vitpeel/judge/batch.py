"""Asking by the Batch API: half the price, an answer within a day.

A batch is noted in the replies' file as soon as it is submitted: a run that was stopped meanwhile waits for
the same batch again, it does not submit another.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import openai
from openai.types import Batch

from vitpeel.errors import VitpeelError
from vitpeel.judge.calls import Call, response_format
from vitpeel.judge.costs import BATCH_DISCOUNT, charged, estimate
from vitpeel.judge.faults import CONTENT_CODES, without_key
from vitpeel.judge.live import Desk, cap_reached

log = logging.getLogger(__name__)

_ENDPOINT: Final = "/v1/chat/completions"
# The API allows 50,000 calls and 200 MB.
_MOST_CALLS = 50_000
_MOST_BYTES = 100 * 2**20
_UNDER_WAY = ("validating", "in_progress", "finalizing")
_OVER = ("completed", "failed", "expired", "cancelled")
_LABEL = "vitpeel"  # of the metadata entry that tells our batches


@dataclass(frozen=True)
class _Parcel:
    """What one batch asks. most: the most it can cost, in USD."""

    calls: tuple[Call[object], ...]
    lines: bytes
    most: float


def ask(calls: Sequence[Call[object]], desk: Desk, poll: float) -> None:
    """Ask every question until the replies hold an outcome for it. poll: seconds between looks at a batch.

    Raises VitpeelError where that cannot go on; what came until then is stored.
    """
    while waiting := [call for call in calls if desk.replies.outcome(call, desk.attempts) is None]:
        parcel = _pack(waiting, desk)
        before = _replies(parcel, desk)
        batch = _submit(parcel, desk)
        _collect(batch.id, _finished(batch.id, desk, poll), desk)
        if _replies(parcel, desk) == before:
            raise VitpeelError(
                f"batch {batch.id} ended without a single answer. Run `snakemake` again later, or set "
                f"{desk.asker.section}.batch to false."
            )


def collect_open(calls: Sequence[Call[object]], desk: Desk, poll: float) -> None:
    """Wait for batches of an earlier run that ask one of the questions; store their replies."""
    for name in desk.replies.open_batches([call.key for call in calls]):
        log.info("batch %s was submitted by an earlier run; its answers are waited for", name)
        _collect(name, _finished(name, desk, poll), desk)


def _replies(parcel: _Parcel, desk: Desk) -> int:
    return sum(desk.replies.count(call.key) for call in parcel.calls)


def _submit(parcel: _Parcel, desk: Desk) -> Batch:
    """Submit a parcel, unless an earlier run did and was stopped before it could note it."""
    counts = [[call.key, desk.replies.count(call.key)] for call in parcel.calls]
    label = hashlib.sha256(json.dumps(counts).encode()).hexdigest()

    def submit() -> Batch:
        recent = desk.client.batches.list(limit=100)
        ours = (b for b in islice(recent, 1000) if (b.metadata or {}).get(_LABEL) == label)
        unnoted = (b for b in ours if not desk.replies.knows_batch(b.id))
        found = next((b for b in unnoted if b.status in ("completed", *_UNDER_WAY)), None)
        if found is not None:
            return found
        file = desk.client.files.create(file=(f"{desk.asker.name}.jsonl", parcel.lines), purpose="batch")
        return desk.client.batches.create(
            input_file_id=file.id,
            endpoint=_ENDPOINT,
            completion_window="24h",
            metadata={_LABEL: label},
        )

    batch = desk.pace.send(submit, _free, "submitting a batch")
    calls = [[call.key, call.about] for call in parcel.calls]
    desk.replies.write("batch", id=batch.id, calls=calls, most=parcel.most)
    log.info("batch %s: %d questions, at most %.2f USD", batch.id, len(calls), parcel.most)
    return batch


def _finished(name: str, desk: Desk, poll: float) -> Batch | None:
    """Wait until a batch is over; None if the API does not know it any more."""

    def look() -> Batch | None:
        try:
            return desk.client.batches.retrieve(name)
        except openai.NotFoundError:
            return None

    before = ""
    while (batch := desk.pace.send(look, _free, f"batch {name}")) is not None:
        counts = batch.request_counts
        state = (
            f"{batch.status}, {counts.completed + counts.failed} of {counts.total}"
            if counts
            else batch.status
        )
        if state != before:
            before = state
            log.info("batch %s: %s", name, state)
        if batch.status in _OVER:
            return batch
        desk.pace.stop.wait(poll)
    return None


def _collect(name: str, batch: Batch | None, desk: Desk) -> None:
    """Store every reply of a batch that is over, also of one that expired half way."""
    if batch is None:
        log.warning("batch %s is not known to this account any more; what it asked is asked again", name)
        desk.replies.write("collected", id=name, status="unknown")
        return
    about = desk.replies.batch_calls(name)
    for file in (batch.output_file_id, batch.error_file_id):
        for line in _results(file, name, desk).split("\n") if file is not None else ():
            if line.strip():
                _store(json.loads(line), about, desk)
    desk.replies.write("collected", id=name, status=batch.status)
    if batch.status == "failed":
        faults = (batch.errors.data if batch.errors else None) or []
        said = "; ".join(without_key(fault.message or "", desk.client.api_key) for fault in faults[:3])
        raise VitpeelError(f"batch {name} was not accepted: {said}. Change that and run `snakemake` again.")


def _results(file: str, name: str, desk: Desk) -> str:
    """The JSON lines of a batch's results; none where the API has deleted them, as it does after a month."""

    def download() -> str:
        try:
            return desk.client.files.content(file).text
        except openai.NotFoundError:
            log.warning("batch %s: its results are deleted; what it asked is asked again", name)
            return ""

    return desk.pace.send(download, _free, f"results of batch {name}")


def _store(line: Mapping[str, Any], about: Mapping[str, str], desk: Desk) -> None:
    key = line["custom_id"]
    if key not in about:
        return
    own = {"key": key, "model": desk.model, desk.asker.field: about[key]}
    response = line.get("response") or {}
    body = response.get("body") or {}
    if response.get("status_code") == 200:
        text = json.dumps(body, ensure_ascii=False)
        cost = charged(text, desk.prices, 0.0, BATCH_DISCOUNT)
        desk.replies.write("reply", cost, **own, body=text)
        desk.budget.settle(0.0, cost)
        return
    fault = body.get("error") or line.get("error") or {}
    said = without_key(str(fault.get("message", "no reason given")), desk.client.api_key)
    if fault.get("code") in CONTENT_CODES:
        desk.replies.write("refusal", **own, reason=said)
    else:
        log.warning("%s %s: not answered in this batch (%s)", desk.asker.subject, about[key], said)


def _pack(calls: Sequence[Call[object]], desk: Desk) -> _Parcel:
    """The first questions, as many as limits and budget allow; VitpeelError if the budget allows none."""
    lines: list[bytes] = []
    most, size = 0.0, 0
    for call in calls:
        cost = estimate(call, desk.prices, BATCH_DISCOUNT).most
        if desk.budget.spent + most + cost > desk.budget.cap:
            if not lines:
                raise VitpeelError(cap_reached(desk, cost))
            break
        body = {**call.body(), "response_format": response_format(call.form)}
        request = {"custom_id": call.key, "method": "POST", "url": _ENDPOINT, "body": body}
        line = json.dumps(request).encode() + b"\n"
        if lines and (len(lines) == _MOST_CALLS or size + len(line) > _MOST_BYTES):
            break
        lines.append(line)
        most, size = most + cost, size + len(line)
    return _Parcel(tuple(calls[: len(lines)]), b"".join(lines), most)


def _free(reason: str) -> None:
    """Calls about batches cost nothing by themselves; a lost one is found again by its label."""
