"""The labels table: the offline labeller, a person's CSV, and which labels go before which."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vitpeel import tables
from vitpeel.clip import labels
from vitpeel.clip.head_texts import Head, heads
from vitpeel.demo.descriptions import descriptions
from vitpeel.errors import InputError, VitpeelError
from vitpeel.provenance import Provenance

LEXICON = {"kind": "lexicon"}
LISTED = descriptions()
SAID = {
    (10, 0): ("something red", "a green cactus", "two things", "a blue background"),
    (10, 1): ("a photo of an owl", "a bird", "snow", "two animals"),
    (11, 0): ("qwerty", "asdf", "a red car", "uiop"),
    (11, 1): ("a piano", "a drum"),  # fewer were found
}


def texts() -> pd.DataFrame:
    rows = [
        ("small", layer, head, rank, text, 0.1)
        for (layer, head), own in SAID.items()
        for rank, text in reversed(list(enumerate(own, 1)))
    ]
    return pd.DataFrame(rows, columns=tables.HEAD_TEXTS.names).astype(
        {"layer": "int16", "head": "int16", "rank": "int16"}
    )


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_texts_of_every_head_in_their_order() -> None:
    found = heads(texts(), 3)
    assert {(head.layer, head.head): head.texts for head in found} == {k: v[:3] for k, v in SAID.items()}
    assert found[0].name == "L10.H0"
    twice = pd.concat([texts(), texts().head(1)])
    with pytest.raises(VitpeelError, match="small: head 0 of layer 10 has two texts of rank 4"):
        heads(twice, 3)


def test_the_offline_labeller_s_table(tmp_path: Path) -> None:
    found, origin = labels.table(heads(texts(), 4), LISTED, LEXICON, {}, None)
    rows = found[["layer", "head", "label", "matches", "texts"]].to_numpy().tolist()
    assert rows == [
        [10, 0, "colors", 3, 4],
        [10, 1, "animals", 3, 4],
        [11, 0, "none", 0, 4],
        [11, 1, "instruments", 2, 2],
    ]
    assert set(found["source"]) == {"lexicon"} and origin["name"] == "lexicon"
    tables.write_table(tmp_path / "labels.parquet", found, tables.HEAD_LABELS, Provenance())
    read = tables.read_table(tmp_path / "labels.parquet", tables.HEAD_LABELS)
    assert read["label"].tolist() == found["label"].tolist()


def test_a_person_s_label_takes_the_place_of_any_other(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "\ufeffmodel,layer,head,label\n"
        'small,10,0,"hues, bright"\n'
        "\n"
        "small,10,1,Wildlife\n"
        "small,11,0,keyboard\n"
        "large,0,0,style\n",
    )
    human = labels.overrides(path, ["small", "large"])
    found, origin = labels.table(heads(texts(), 4), LISTED, LEXICON, {}, None, human)
    assert found["label"].tolist() == ["hues, bright", "Wildlife", "keyboard", "instruments"]
    assert found["source"].tolist() == ["human"] * 3 + ["lexicon"]
    # what the lexicon knows by another name it can count; the rest nobody counted
    assert found["matches"].fillna(-1).tolist() == [-1, 3, -1, 2]
    assert origin["by hand"] == 3


def test_a_person_may_count_too(tmp_path: Path) -> None:
    path = written(tmp_path, "model,layer,head,label,matches\nsmall,11,0,keyboard,3\nsmall,10,1,none,\n")
    human = labels.overrides(path, ["small"])
    found, _ = labels.table(heads(texts(), 4), LISTED, LEXICON, {}, None, human)
    assert found["matches"].tolist() == [3, 0, 3, 2]
    too_many = labels.overrides(
        written(tmp_path, "model,layer,head,label,matches\nsmall,11,1,x,3\n"), ["small"]
    )
    with pytest.raises(InputError, match=r"mine\.csv: line 2: 3 texts match, but the head has 2"):
        labels.table(heads(texts(), 4), LISTED, LEXICON, {}, None, too_many)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("medium,10,0,x", "line 3: medium: no model of this run. There are: small, large"),
        ("small,ten,0,x", "line 3: layer 'ten' is no whole number. Count from 0"),
        ("small,10,-1,x", "line 3: head '-1' is no whole number"),
        ("small,10,0,", "line 3: the label has 0 characters"),
        (f"small,10,0,{'x' * 41}", "line 3: the label has 41 characters. Write 1 to 40"),
        ("small,10,0,a,b", "line 3: 5 cells where 4 belong. Quote a label with a comma"),
        ("small,10,1,again", "line 3: this head has a label already, on another line"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_line(tmp_path: Path, row: str, fault: str) -> None:
    path = written(tmp_path, f"model,layer,head,label\nsmall,10,1,birds\n{row}\n")
    with pytest.raises(InputError) as caught:
        labels.overrides(path, ["small", "large"])
    assert str(caught.value).startswith(f"{path}: {fault}")


@pytest.mark.parametrize(
    ("place", "there"), [("10,2", "heads 0 to 1 of it have"), ("3,0", "layers 10 to 11 have")]
)
def test_a_head_that_is_not_there_is_refused_with_its_line(tmp_path: Path, place: str, there: str) -> None:
    path = written(tmp_path, f"model,layer,head,label\nsmall,{place},x\n")
    human = labels.overrides(path, ["small"])
    with pytest.raises(InputError, match=rf"line 2: head \d of layer \d+ of small .*; {there}"):
        labels.table(heads(texts(), 4), LISTED, LEXICON, {}, None, human)


def test_a_file_that_is_no_such_csv(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"line 1: the columns are layer,head\. Write model,layer,head,label"
    ):
        labels.overrides(written(tmp_path, "layer,head\n"), ["small"])
    with pytest.raises(InputError, match=r"line 1: the columns are \. Write"):
        labels.overrides(written(tmp_path, ""), ["small"])
    (tmp_path / "mine.csv").write_bytes(b"model,layer,head,label\nsmall,1,1,caf\xe9\n")
    with pytest.raises(InputError, match=r"mine\.csv: the labels cannot be read"):
        labels.overrides(tmp_path / "mine.csv", ["small"])
    with pytest.raises(InputError, match=r"no\.csv: the labels cannot be read"):
        labels.overrides(tmp_path / "no.csv", ["small"])


def test_heads_of_other_models_are_let_be() -> None:
    item = labels.Override("f: line 2", "large", 99, 0, "x", None)
    found, origin = labels.table([Head("small", 1, 0, ("a cat", "a dog"))], LISTED, LEXICON, {}, None, [item])
    assert found["label"].tolist() == ["animals"] and origin["by hand"] == 0


def test_the_grid_has_each_head_s_first_text() -> None:
    found, _ = labels.table(heads(texts(), 4), LISTED, LEXICON, {}, None)
    shown = labels.grid(found, texts())
    assert shown["text"].tolist() == [own[0] for own in SAID.values()]
    assert shown[["layer", "head", "label"]].equals(found[["layer", "head", "label"]])
