"""The offline rubric against verdicts worked out by hand, and against the demo's own captions."""

from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
from judged_pictures import captions_of

from vitpeel import tables
from vitpeel.demo import captions as demo
from vitpeel.demo.scenes import Layout, Placement
from vitpeel.demo.words import CATEGORY_OF, OBJECTS, SCENES
from vitpeel.errors import VitpeelError
from vitpeel.judge import rubric
from vitpeel.judge.criteria import METRICS, Series
from vitpeel.judge.mentions import mentions
from vitpeel.provenance import Provenance

GIRAFFE = rubric.Content(("giraffe",), "snowy mountain")


def judged(*captions: str, there: rubric.Content = GIRAFFE) -> list[tuple[float, ...]]:
    """(entities, specificity, information, correspondence, mean) of each layer."""
    own = Series("p0", "unedited", None, tuple(range(len(captions))), captions)
    return [verdict.values for verdict in rubric.judge(own, there)]


@pytest.mark.parametrize(
    "caption, entities, specificity, information, correspondence",
    [
        ("a giraffe on a snowy mountain", 5, 5, 5, 5),
        ("A snowy mountain, with a GIRAFFE!", 5, 5, 5, 5),
        ("a large animal in the snow", 5, 3, 3, 5),
        ("an animal in the snow", 5, 3, 3, 5),
        ("a large animal outdoors", 3, 1, 3, 3),
        ("a giraffe outdoors", 3, 3, 3, 3),
        ("something outdoors", 1, 1, 1, 3),
        ("something", 1, 1, 1, 3),
        ("a zebra on a snowy mountain", 5, 5, 3, 3),  # of the right kind
        ("a guitar on a snowy mountain", 5, 5, 3, 3),
        ("a guitar in a tiled kitchen", 5, 5, 1, 1),
        ("a zebra in a tiled kitchen", 5, 5, 1, 1),
        ("a giraffe next to a guitar in a tiled kitchen", 5, 5, 3, 3),
        ("photo of of the", 1, 1, 1, 1),
        ("", 1, 1, 1, 1),
    ],
)
def test_a_description_by_itself(
    caption: str, entities: int, specificity: int, information: int, correspondence: int
) -> None:
    # the second of two equal ones: no first layer, nothing gained or lost
    assert judged(caption, caption)[1][:4] == (entities, specificity, information, correspondence)


def test_information_is_against_the_layer_before() -> None:
    told = [
        "something",
        "an animal",
        "a large animal",
        "a giraffe",
        "a giraffe",
        "a large animal",
        "something",
    ]
    information = [values[2] for values in judged(*told)]
    #  first 3; 1.6 of 8.5 bits and more; 3.2 and more; 5.5 and more; no more; less; less
    assert information == [3, 3, 5, 5, 3, 1, 1]


def test_two_objects_are_told_apart() -> None:
    two = rubric.Content(("zebra", "camel"), "forest")
    exact = "a zebra next to a camel in a green forest"
    assert judged(exact, exact, there=two)[1] == (5, 5, 5, 5, 5)
    # one zebra cannot be both
    twice = "a zebra next to a zebra in a green forest"
    assert judged(twice, twice, there=two)[1][2:4] == (3, 5)
    # the order in which a right and a wrong word come is nothing to the rubric
    left, right = ("a zebra above a giraffe", "a giraffe above a zebra")
    one = rubric.Content(("zebra",), None)
    assert judged(left, left, there=one)[1] == judged(right, right, there=one)[1] == (5, 5, 5, 3, 4.5)


def test_every_caption_of_the_demo_is_understood() -> None:
    for word, scene in itertools.product(OBJECTS, SCENES):
        layout = Layout(scene.name, (Placement(word, (0.5, 0.5), 0.5, 0.0, False, 1.0),), "", False, 0)
        there = rubric.content(demo.references(layout))
        assert there == rubric.Content((word,), scene.name)
        for objects, place in itertools.product(range(3), range(3)):
            caption = demo.sentence(layout, (objects,), place)
            found = mentions(caption)
            assert [m.sort for m in found] == ["object", "place"], caption
            assert word in found[0].things and scene.name in found[1].things, caption
            assert len(found[0].things) == (1, len(CATEGORY_OF[word].objects), len(OBJECTS))[objects]
        assert judged(demo.inverted(layout), demo.inverted(layout), there=there)[1] == (5, 5, 5, 5, 5)


def test_bits_are_what_a_word_rules_out() -> None:
    bits = {
        text: mentions(text)[0].bits for text in ("owl", "bird", "animal", "something", "in a room", "beach")
    }
    assert bits == {
        "owl": math.log2(45),
        "bird": math.log2(9),
        "animal": math.log2(3),
        "something": 0,
        "in a room": 2,
        "beach": 3,
    }


def test_what_the_references_say() -> None:
    assert rubric.content(["a large animal outdoors", "a cat in the snow"]) == rubric.Content(("cat",), None)
    assert rubric.content(["a man in a suit", "something outdoors"]) is None
    assert rubric.content([]) is None


def test_the_table(caplog: pytest.LogCaptureFixture, tmp_path: object) -> None:
    references = {"p0": ["a giraffe on a snowy mountain"], "p1": ["a man in a suit"]}
    captions = captions_of(["p0", "p1", "p2"])
    scores = rubric.score(captions.sample(frac=1, random_state=1), references)
    assert len(scores) == 3 * 5 and set(scores["metric"]) == set(METRICS)
    wide = scores.pivot(index="layer", columns="metric", values="value")
    assert wide["judge_mean"].tolist() == [2, 4.5, 5]
    assert wide["judge_information"].tolist() == [3, 5, 5]
    assert "2 of 3 pictures are not judged" in caplog.text and "p1, p2" in caplog.text
    tables.write_table(tmp_path / "t.parquet", scores, tables.SCORES, Provenance())  # type: ignore[operator]
    # another reading of the picture is a series of its own
    both = pd.concat([captions, captions.assign(variant="b", layer=captions["layer"] + 20)])
    first = rubric.score(both, references).query("metric == 'judge_information' and layer in (0, 20)")
    assert first["value"].tolist() == [3, 3]


def test_refusals() -> None:
    captions = captions_of(["p0"])
    with pytest.raises(VitpeelError, match=r"judge\.kind: the offline rubric knows the demo's words only"):
        rubric.score(captions, {"p0": ["a man in a suit"]})
    with pytest.raises(VitpeelError, match="picture p0, unedited: a layer is in the table of captions twice"):
        rubric.score(pd.concat([captions, captions]), {"p0": ["a giraffe outdoors"]})


def test_it_names_itself() -> None:
    assert rubric.origin()["name"] == "offline rubric"
    assert "gpt" not in str(rubric.origin()).lower()
