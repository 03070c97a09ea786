"""Tables go to disk and come back the same, with their origin; a wrong or damaged one is refused by name."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_disk

from vitpeel import tables
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.provenance import Provenance, canonical

BEAM = Provenance(checkpoint="c0ffee", dtype="float32", config=canonical({"decoding": {"beams": 5}}))


def captions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["7", "a,b"],
            "variant": "unedited",
            "layer": [0, 38],
            "head": [None, 3],
            "caption": ["a giraffe", ""],
            "tokens": [3, 1],
            "truncated": [False, True],
        }
    )


def test_a_table_comes_back_with_the_schemas_types_and_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "new" / "captions.parquet"
    shuffled = captions()[["truncated", "caption", "image_id", "variant", "layer", "head", "tokens"]]
    tables.write_table(path, shuffled, tables.CAPTIONS, BEAM)
    frame = tables.read_table(path, tables.CAPTIONS, expect=BEAM)
    assert list(frame.columns) == tables.CAPTIONS.names
    assert frame["layer"].dtype == "int16" and str(frame["head"].dtype) == "Int16"
    assert frame["head"].isna().tolist() == [True, False] and frame["head"][1] == 3
    assert frame["image_id"].tolist() == ["7", "a,b"] and frame["caption"].tolist() == ["a giraffe", ""]
    assert tables.read_provenance(path) == BEAM


def test_a_frame_that_was_read_can_be_written_again_byte_by_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    tables.write_table(first, captions(), tables.CAPTIONS, BEAM)
    tables.write_table(second, tables.read_table(first, tables.CAPTIONS), tables.CAPTIONS, BEAM)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "schema", [tables.PICTURES, tables.SKIPPED, tables.CAPTIONS, tables.SCORES, tables.SUMMARY]
)
def test_an_empty_table_of_every_schema_is_written_and_read(tmp_path: Path, schema: pa.Schema) -> None:
    path = tmp_path / "empty.parquet"
    tables.write_table(path, schema.empty_table().to_pandas(), schema, Provenance())
    assert list(tables.read_table(path, schema).columns) == schema.names


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (captions().drop(columns="tokens"), r"missing \['tokens'\]"),
        (captions().assign(colour="red"), r"unknown \['colour'\]"),
        (captions().assign(caption=None), "caption.* 2 null values"),
        (captions().assign(layer=[0.5, 1.0]), "layer"),
    ],
)
def test_a_frame_that_breaks_the_schema_is_not_written(
    tmp_path: Path, frame: pd.DataFrame, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        tables.write_table(tmp_path / "captions.parquet", frame, tables.CAPTIONS, BEAM)
    assert not list(tmp_path.iterdir())


def test_another_origin_is_refused_naming_file_setting_and_both_values(tmp_path: Path) -> None:
    path = tmp_path / "captions.parquet"
    tables.write_table(path, captions(), tables.CAPTIONS, BEAM)
    greedy = Provenance(config=canonical({"decoding": {"beams": 1}}))
    with pytest.raises(ProvenanceError) as caught:
        tables.read_table(path, tables.CAPTIONS, expect=greedy)
    assert str(caught.value) == (
        f"{path}: made with config.decoding.beams 5, but this run has 1. "
        f"Delete it (`rm {path}`) and run `snakemake` again, or set the configuration back."
    )


def test_a_table_of_unknown_origin_is_refused_where_one_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "captions.parquet"
    pq.write_table(pa.Table.from_pandas(captions(), schema=tables.CAPTIONS), path)
    assert len(tables.read_table(path, tables.CAPTIONS)) == 2
    with pytest.raises(ProvenanceError, match="does not say what made it"):
        tables.read_table(path, tables.CAPTIONS, expect=BEAM)


def test_missing_damaged_and_foreign_tables_are_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.parquet"
    with pytest.raises(InputError, match=r"captions\.parquet: no such table\. Run `snakemake`"):
        tables.read_table(path, tables.CAPTIONS)
    tables.write_table(path, captions(), tables.CAPTIONS, BEAM)
    with pytest.raises(InputError, match="column metric is missing"):
        tables.read_table(path, tables.SCORES)
    wide = tables.CAPTIONS.set(2, pa.field("layer", pa.int64()))
    with pytest.raises(InputError, match="column layer is int16, not int64"):
        tables.read_table(path, wide)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"captions\.parquet: not a readable table .* Delete it"):
        tables.read_table(path, tables.CAPTIONS)


def test_csv_for_people(tmp_path: Path) -> None:
    path = tmp_path / "fig3.csv"
    tables.write_csv(path, pd.DataFrame({"layer": [31, 32], "mean": [1 / 3, 2.0]}))
    assert path.read_text() == "layer,mean\n31,0.333333\n32,2\n"


def test_a_full_disk_keeps_what_was_written_and_leaves_nothing_partial(tmp_path: Path) -> None:
    code = """
from pathlib import Path
import numpy as np, pandas as pd
from vitpeel import tables
from vitpeel.errors import VitpeelError
from vitpeel.provenance import Provenance
def frame(rows):
    value = np.random.default_rng(0).normal(size=rows)
    return pd.DataFrame({"image_id": "7", "variant": "unedited", "layer": 0, "head": None, "metric": "cider",
                         "value": value})
tables.write_table(Path("kept.parquet"), frame(10), tables.SCORES, Provenance())
for name, write in {
    "scores.parquet": lambda path: tables.write_table(path, frame(100_000), tables.SCORES, Provenance()),
    "fig3.csv": lambda path: tables.write_csv(path, frame(100_000)),
}.items():
    try:
        write(Path(name))
    except VitpeelError as error:
        print(error)
kept = tables.read_table(Path("kept.parquet"), tables.SCORES, Provenance())
print(len(kept), sorted(p.name for p in Path().iterdir()))
"""
    parquet, csv, kept = small_disk.run(code, tmp_path, "size=256k").splitlines()
    assert parquet.startswith("scores.parquet: the disk is full, nothing was written. Free some space")
    assert csv.startswith("fig3.csv: the disk is full, nothing was written. Free some space")
    assert kept == "10 ['kept.parquet']"
