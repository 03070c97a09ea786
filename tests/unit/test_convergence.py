"""The convergence layer of tables made by hand."""

import pandas as pd
import pytest

from vitpeel import convergence
from vitpeel.errors import VitpeelError
from vitpeel.tables import SCORES

SAID = {
    ("a", "unedited"): "sky sky dog cat cat",  # settles at 3
    ("a", "pruned"): "cat sky cat cat cat",  # said it before, and took it back: 2
    ("b", "unedited"): "cat cat cat cat cat",  # from the start
    ("b", "pruned"): "sky dog sky dog cat",  # at the very last
}


def captions(said: dict[tuple[str, str], str] = SAID) -> pd.DataFrame:
    rows = [
        (image, variant, layer, text)
        for (image, variant), texts in said.items()
        for layer, text in enumerate(texts.split())
    ]
    table = pd.DataFrame(rows, columns=["image_id", "variant", "layer", "caption"])
    return table.sample(frac=1, random_state=1, ignore_index=True).assign(
        head=pd.array([pd.NA] * len(rows), dtype="Int16")
    )


def found(scores: pd.DataFrame) -> dict[tuple[str, str], float]:
    return dict(zip(zip(scores["image_id"], scores["variant"], strict=True), scores["value"], strict=True))


def likeness(rows: pd.DataFrame) -> pd.DataFrame:
    """dog and cat are 0.9 alike, sky is like nothing; in another order than asked."""
    pairs = zip(rows["caption"], convergence.last(rows), strict=True)
    values = [0.9 if {*pair} == {"dog", "cat"} else float(len({*pair}) == 1) for pair in pairs]
    return rows.assign(value=values).sort_values(["layer", "variant", "image_id"])


def test_every_later_caption_equals_the_last() -> None:
    scores = convergence.score(captions())
    assert found(scores) == {
        ("a", "unedited"): 3,
        ("a", "pruned"): 2,
        ("b", "unedited"): 0,
        ("b", "pruned"): 4,
    }
    assert set(scores.columns) == set(SCORES.names)
    assert scores["layer"].unique().tolist() == [4] and scores["head"].isna().all()
    assert scores["metric"].unique().tolist() == ["convergence"]


def test_every_later_caption_is_like_the_last() -> None:
    loose = found(convergence.score(captions(), likeness, threshold=0.9))
    assert loose[("a", "unedited")] == 2 and loose[("b", "pruned")] == 3
    strict = convergence.score(captions(), likeness, threshold=0.91)
    assert found(strict) == found(convergence.score(captions()))


def test_an_empty_last_caption_equals_itself_whatever_its_score() -> None:
    said = captions({("a", "v"): "cat x x"}).replace({"caption": {"x": ""}})
    scores = convergence.score(said, lambda rows: rows.assign(value=0.0), threshold=0.5)
    assert found(scores) == {("a", "v"): 1}


def test_each_variant_is_compared_with_its_own_last_caption_and_heads_are_not_read() -> None:
    rows = captions()
    assert set(convergence.last(rows)) == {"cat"}
    single = rows[rows["layer"] == 4].assign(head=0, caption="head", layer=3).astype({"head": "Int16"})
    assert found(convergence.score(pd.concat([rows, single]))) == found(convergence.score(rows))


def test_a_layer_without_caption_is_named() -> None:
    rows = captions()
    holed = rows[~((rows["image_id"] == "b") & (rows["layer"] == 2) & (rows["variant"] == "pruned"))]
    with pytest.raises(VitpeelError, match="picture b, pruned: no caption of layer 2"):
        convergence.score(holed)
