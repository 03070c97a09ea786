"""A hub, asked patiently: what is in a repository, tries with longer and longer waits, one-line refusals."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from vitpeel.errors import InputError, VitpeelError
from vitpeel.manifest import MANIFEST, Entry

log = logging.getLogger(__name__)
T = TypeVar("T")

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # worth another try
_TOKENS = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True)
class Remote:
    """A file on a hub. size: bytes; sha256 of large files, blob (git's hash) of small ones; None: unknown."""

    path: str
    url: str
    size: int | None
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Patience:
    """How often a request is tried; first: seconds before the second try, doubled from try to try."""

    attempts: int = 7
    first: float = 2.0
    longest: float = 120.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


class Progress:
    """What huggingface_hub takes for a progress bar: a line in the log every ten seconds."""

    def __init__(self, *, total: int | None = None, initial: int = 0, desc: str = "", **_: Any) -> None:
        self._total, self._done, self._what = total, initial, desc
        self._first, self._started = initial, time.monotonic()
        self._last = self._started

    def update(self, count: float | None = 1) -> None:
        """Count bytes that have arrived."""
        self._done += int(count or 0)
        now = time.monotonic()
        if now - self._last >= 10:
            self._last, speed = now, (self._done - self._first) / (now - self._started)
            of = f" of {self._total / 1e9:.2f}" if self._total else ""
            log.info("%s: %.2f%s GB, %.1f MB/s", self._what, self._done / 1e9, of, speed / 1e6)

    def close(self) -> None:
        """Nothing is left to be closed."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, or the public one."""
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def headers(entry: Entry) -> dict[str, str]:
    """Of a request for a file: the token goes to the hub alone."""
    plain = {"Accept-Encoding": "identity"}  # a resumed file is counted in its own bytes
    return {**build_hf_headers(token=get_token() or False), **plain} if entry.repository else plain


def listing(entry: Entry, revision: str, patience: Patience) -> tuple[str, list[Remote]]:
    """The commit behind a revision, and all files of the repository at it."""
    repository, place = str(entry.repository), endpoint()
    kind = "model" if entry.architecture else "dataset"
    api = HfApi(endpoint=place, token=get_token() or False)

    def ask() -> tuple[str, list[RepoFile]]:
        commit = api.repo_info(repository, repo_type=kind, revision=revision).sha or revision
        found = api.list_repo_tree(repository, repo_type=kind, revision=commit, recursive=True)
        return commit, [file for file in found if isinstance(file, RepoFile)]

    commit, files = patiently(ask, repository, entry, patience)
    remote = []
    for file in files:
        url = hf_hub_url(repository, file.path, repo_type=kind, revision=commit, endpoint=place)
        size, sha256 = (file.lfs.size, file.lfs.sha256) if file.lfs else (file.size, None)
        remote.append(Remote(file.path, url, size, sha256, None if file.lfs else file.blob_id))
    return commit, remote


def patiently(action: Callable[[], T], what: str, entry: Entry, patience: Patience) -> T:
    """The result of `action`, tried again while the network or the hub fails; refusals become one line."""
    for attempt in range(patience.attempts):
        try:
            return action()
        except (httpx2.HTTPError, OfflineModeIsEnabled, OSError) as error:
            reason = _passing(error)
            if reason is None or attempt + 1 == patience.attempts:
                refusal = _in_words(error, what, entry, attempt + 1)
                if refusal is None:
                    raise
                raise refusal from error
            wait = min(patience.first * 2**attempt, patience.longest)
            log.warning(
                "%s: %s; again in %.0f s (%d of %d)", what, reason, wait, attempt + 1, patience.attempts
            )
            patience.sleep(wait)
    raise ValueError(f"{patience}: at least one attempt")


def _passing(error: Exception) -> str | None:
    """Why it may go better the next time; None: it will not."""
    status = _status(error)
    if status is not None:
        return f"status {status}" if status in _PASSING else None
    if isinstance(error, httpx2.TransportError):
        return f"{type(error).__name__} ({error})"
    # huggingface_hub's word for a file that came short
    return "cut short" if type(error) is OSError and error.errno is None else None


def _status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError | httpx2.HTTPStatusError) else None


def _in_words(error: Exception, what: str, entry: Entry, attempts: int) -> VitpeelError | None:
    """The refusal of a failed request; None: an error of the disk, not of the network."""
    status, again = _status(error), "What has arrived is kept: run `snakemake` again."
    if status in (401, 403):
        return VitpeelError(_not_allowed(what, entry, status))
    if status == 404:
        place = f"{endpoint()} at revision {entry.revision}" if entry.repository else "its address"
        return InputError(f"{what}: not found at {place} (status 404). Correct {MANIFEST.name}.")
    if status is not None:
        return VitpeelError(f"{what}: status {status} after {attempts} attempts. {again}")
    if isinstance(error, OfflineModeIsEnabled):
        return VitpeelError(f"{what}: HF_HUB_OFFLINE is set. Unset it, and run `snakemake` again.")
    if isinstance(error, httpx2.TransportError) or (type(error) is OSError and error.errno is None):
        place = endpoint() if entry.repository else entry.source
        tried = f"did not answer, or not to the end, in {attempts} attempts ({type(error).__name__})"
        return VitpeelError(
            f"{what}: {place} {tried}. Check the network (HF_ENDPOINT names a mirror). {again}"
        )
    return None


def _not_allowed(what: str, entry: Entry, status: int | None) -> str:
    """Which page to accept and which variable to set; never the token itself."""
    accept = (
        f"accept the conditions on {entry.gated}" if entry.gated else "check that your account may read it"
    )
    if get_token() is None:
        return (
            f"{what}: needs a token (status {status}). First {accept}, then set HF_TOKEN to a token of that "
            f"account ({_TOKENS}) and run `snakemake` again."
        )
    return (
        f"{what}: refused with your token (status {status}). First {accept}, with the account of "
        f"HF_TOKEN; a new token: {_TOKENS}. Then run `snakemake` again."
    )
