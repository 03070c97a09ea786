"""The table of captions: its schema, and shards put together only if they belong together."""

from pathlib import Path

import pytest

from vitpeel import caption_tables
from vitpeel.captioner import Caption
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.provenance import Provenance
from vitpeel.tables import CAPTIONS, Reading, merge, read_table, write_table

MADE = Provenance(checkpoint="c", dtype="float32", preprocessing="p", config='{"beams":5}')


def write(path: Path, *image_ids: str, made: Provenance = MADE) -> Path:
    keys = [Reading(i, "unedited", layer, None) for layer in (1, 0) for i in image_ids]
    said = [Caption(key, f"{key.image_id} at {key.layer}", 3, False) for key in keys]
    write_table(path, caption_tables.frame(said, image_ids, ["unedited"]), CAPTIONS, made)
    return path


def test_the_frame_has_the_schema(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "c.parquet", "a"), CAPTIONS, expect=MADE)
    assert table["variant"].tolist() == ["unedited", "unedited"]
    assert table["head"].isna().all()
    assert table["caption"].tolist() == ["a at 0", "a at 1"]


def test_rows_are_in_the_order_of_pictures_variants_layers_and_heads() -> None:
    keys = [
        Reading(i, v, layer, h) for i in "ab" for v in ("y", "x") for layer in (0, 1) for h in (None, 0, 1)
    ]
    said = [Caption(key, "", 0, False) for key in keys]
    there = caption_tables.frame(reversed(said), ["a", "b"], ["y", "x"])
    assert there["head"].isna().sum() == 8
    found = there[list(Reading._fields)].astype(object).where(lambda frame: frame.notna(), None)
    assert [Reading(*row) for row in found.itertuples(index=False)] == keys


def test_no_captions_is_a_table_too(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "c.parquet"), CAPTIONS).empty


def test_shards_come_together_in_order(tmp_path: Path) -> None:
    shards = [write(tmp_path / "0", "b", "a"), write(tmp_path / "1"), write(tmp_path / "2", "c")]
    whole, made = merge(shards, CAPTIONS, Reading._fields, ["b", "a", "c"])
    assert whole["image_id"].tolist() == ["b", "b", "a", "a", "c", "c"]
    assert made == MADE


def test_shards_made_differently_are_refused(tmp_path: Path) -> None:
    other = Provenance(**{**vars(MADE), "config": '{"beams":1}'})
    shards = [write(tmp_path / "0", "a"), write(tmp_path / "1", "b", made=other)]
    with pytest.raises(ProvenanceError, match=r"1: made with config\.beams 1, but this run has 5"):
        merge(shards, CAPTIONS, Reading._fields, ["a", "b"])


@pytest.mark.parametrize("pictures", [["a"], ["a", "b", "c"], ["b", "a"]])
def test_pictures_that_do_not_match_are_refused(pictures: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Delete them"):
        merge([write(tmp_path / "0", "a"), write(tmp_path / "1", "b")], CAPTIONS, Reading._fields, pictures)


def test_derived_settings_tell_tables_apart() -> None:
    scored = caption_tables.derived(MADE, metrics=["cider"])
    assert scored.checkpoint == MADE.checkpoint
    assert scored.config != caption_tables.derived(MADE, metrics=["bleu4"]).config
    assert caption_tables.same_model(scored).config is None
