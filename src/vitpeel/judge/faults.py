"""What went wrong at the API, in one line that says what to do, and never holds the key."""

from __future__ import annotations

import re
from dataclasses import dataclass

import openai

from vitpeel.errors import VitpeelError
from vitpeel.judge.calls import Asker

VARIABLE = "OPENAI_API_KEY"
_KEY_LIKE = re.compile(r"\b(sk|sess|key)-[\w*\-.…]{4,}|\*{4,}\w*")
_SHOWN = 200  # characters of the API's own wording
# The request never left, so nothing can have been charged.
_UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
# Codes of a 400 that is about what this one call holds.
CONTENT_CODES = {
    "content_filter",
    "content_policy_violation",
    "image_content_policy_violation",
    "image_parse_error",
    "invalid_image",
    "invalid_image_format",
    "moderation_blocked",
}


@dataclass(frozen=True)
class Fault:
    """reason: what happened; line: that, and what to do; perhaps_charged: sent, but never answered."""

    reason: str
    line: str
    perhaps_charged: bool = False


class ContentRefused(VitpeelError):
    """The API will not look at what this call holds; the others go on."""


def check_key(key: str | None, waiting: int, path: object, asker: Asker) -> str:
    """The key, or VitpeelError if there is none or it cannot be one. waiting: questions that need it."""
    key = (key or "").strip()
    if not key:
        raise VitpeelError(
            f"{VARIABLE} is not set, and {waiting} questions to the {asker.name} are not answered in {path}. "
            f"`export {VARIABLE}=...`, or {asker.instead}."
        )
    # An HTTP client would put a key with a line break into its error message.
    if not re.fullmatch(r"[!-~]+", key):
        raise VitpeelError(
            f"{VARIABLE} holds a space, a line break or another character that no key has. Set it again."
        )
    return key


def passing(error: openai.APIError) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, openai.APIStatusError):
        if error.status_code == 429:
            return "insufficient_quota" not in (error.code, error.type)
        return error.status_code in (408, 409) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ not in {
        "UnsupportedProtocol",
        "InvalidURL",
    }


def about_the_content(error: openai.BadRequestError) -> bool:
    """Whether the API refuses what one call holds, not the way we ask."""
    return error.code in CONTENT_CODES


def explain(error: openai.APIError, key: str, asker: Asker) -> Fault:
    """A fault of the API for the user."""
    section = asker.section
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__).__name__
        sent = cause not in _UNSENT
        reason = (
            "no answer in time" if isinstance(error, openai.APITimeoutError) else f"connection lost ({cause})"
        )
        host = error.request.url.host
        return Fault(reason, f"{host}: {reason}. Check the network and {section}.timeout.", sent)
    if not isinstance(error, openai.APIStatusError):
        reason = without_key(error.message, key)
        return Fault(reason, f"The {asker.name}'s API: {reason}.")
    code = error.status_code
    said = without_key(error.message, key)
    if code == 401:
        line = f"{VARIABLE} is refused by {error.request.url.host} (401). Set it to a valid key."
        return Fault("the key is refused (401)", line)
    if code == 403:
        return Fault("not allowed (403)", f"{VARIABLE} may not use this model or endpoint (403): {said}")
    if code == 404:
        return Fault("not found (404)", f"{section}.model: unknown to the API, or not yours (404): {said}")
    if code == 429 and not passing(error):
        line = (
            "The account behind OPENAI_API_KEY has no credit left (429). Top it up and run `snakemake` again."
        )
        return Fault("no credit left (429)", line)
    if code == 429:
        return Fault(
            "too fast for the account's rate limit (429)", f"Lower {section}.concurrency (429): {said}"
        )
    if code >= 500:
        return Fault(f"the API failed ({code})", f"The API fails ({code}); run `snakemake` again later.")
    return Fault(f"refused ({code})", f"The API refuses the {asker.name}'s question ({code}): {said}")


def without_key(text: str, key: str) -> str:
    """The text shortened, in one line, without the key or anything that looks like part of one."""
    clean = _KEY_LIKE.sub("<key>", text.replace(key, "<key>") if key else text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= _SHOWN else f"{clean[:_SHOWN]}…"
