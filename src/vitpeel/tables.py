"""The tables that flow between steps: one schema each, written whole with their origin, checked when read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vitpeel import provenance as origin
from vitpeel.atomic import atomic
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.provenance import Provenance


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# image_id is unique; path is as the configuration gives it; width and height are upright pixels;
# mode is Pillow's, as stored; note says what was converted, "" if nothing was.
PICTURES = pa.schema(
    [
        _required("image_id", pa.string()),
        _required("path", pa.string()),
        _required("width", pa.int32()),
        _required("height", pa.int32()),
        _required("mode", pa.string()),
        _required("references", pa.list_(pa.string())),
        _required("note", pa.string()),
    ]
)
# Pictures that cannot be used, with the one-line reason and remedy.
SKIPPED = pa.schema([_required("path", pa.string()), _required("reason", pa.string())])


class Reading(NamedTuple):
    """What one caption or score is about; head is None (null in tables) where the whole layer is read."""

    image_id: str
    variant: str
    layer: int
    head: int | None


_READING = [
    _required("image_id", pa.string()),
    _required("variant", pa.string()),
    _required("layer", pa.int16()),
    pa.field("head", pa.int16()),
]
# tokens counts what the language model generated; truncated marks a caption cut off by max_new_tokens.
CAPTIONS = pa.schema(
    [
        *_READING,
        _required("caption", pa.string()),
        _required("tokens", pa.int16()),
        _required("truncated", pa.bool_()),
    ]
)
SCORES = pa.schema([*_READING, _required("metric", pa.string()), _required("value", pa.float64())])
# mean over `pictures` pictures, bootstrap interval [low, high]; `empty` of their captions were empty (0).
SUMMARY = pa.schema(
    [
        _required("dataset", pa.string()),
        *_READING[1:],
        _required("metric", pa.string()),
        _required("mean", pa.float64()),
        _required("low", pa.float64()),
        _required("high", pa.float64()),
        _required("pictures", pa.int32()),
        _required("empty", pa.int32()),
    ]
)
# What the update of the CLS token in one layer is the sum of (section 3.3). component: "head 0" ..., "mlp",
# "bias"; share: of the update, a layer's sum to one.
DATAFLOW = pa.schema(
    [
        _required("image_id", pa.string()),
        _required("layer", pa.int16()),
        _required("component", pa.string()),
        _required("norm", pa.float64()),
        _required("share", pa.float64()),
        _required("cosine", pa.float64()),
    ]
)
# How much a picture's layer changes against the one before it, as each perspective measures it.
CHANGES = pa.schema(
    [
        _required("image_id", pa.string()),
        _required("layer", pa.int16()),
        _required("measure", pa.string()),
        _required("change", pa.float64()),
    ]
)
# The texts that TextSpan picks for a head of a CLIP, the first (rank 1) explains most; share: of the head's
# variance, a head's shares sum to at most one.
HEAD_TEXTS = pa.schema(
    [
        _required("model", pa.string()),
        _required("layer", pa.int16()),
        _required("head", pa.int16()),
        _required("rank", pa.int16()),
        _required("text", pa.string()),
        _required("share", pa.float64()),
    ]
)
# What each head is labelled. source: lexicon, openai or human; matches: how many of the head's `texts` texts
# match the label, null where a person gave a label that nobody counted.
HEAD_LABELS = pa.schema(
    [
        _required("model", pa.string()),
        _required("layer", pa.int16()),
        _required("head", pa.int16()),
        _required("label", pa.string()),
        _required("source", pa.string()),
        pa.field("matches", pa.int16()),
        _required("texts", pa.int16()),
    ]
)

# Pictures nearest to what was asked, the nearest has rank 1 (CLIP-InterpreT, section 5). analysis: property,
# picture or text; query: its place among those of this analysis, from 0; asked: the picture's id or the text;
# label: the property, or what the head is labelled; heads: "L10.H1 L11.H3", whose contributions are added up;
# score: by the measure, cosine or dot.
NEIGHBOURS = pa.schema(
    [
        _required("model", pa.string()),
        _required("analysis", pa.string()),
        _required("query", pa.int16()),
        _required("asked", pa.string()),
        _required("label", pa.string()),
        _required("heads", pa.string()),
        _required("measure", pa.string()),
        _required("rank", pa.int16()),
        _required("image_id", pa.string()),
        _required("score", pa.float64()),
    ]
)
# What each map shows, in the order of the maps' file. analysis: topic or contrast; query: as above, and one
# of several pictures has several maps; against: the text whose map was taken off, null for a topic.
SEGMENTATIONS = pa.schema(
    [
        _required("model", pa.string()),
        _required("analysis", pa.string()),
        _required("query", pa.int16()),
        _required("image_id", pa.string()),
        _required("text", pa.string()),
        pa.field("against", pa.string()),
        _required("label", pa.string()),
        _required("heads", pa.string()),
    ]
)


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema, provenance: Provenance) -> None:
    """Write `frame` as parquet; its columns must be the schema's, in any order. Equal in, equal out."""
    unknown, missing = set(frame.columns) - set(schema.names), set(schema.names) - set(frame.columns)
    if unknown or missing:
        raise ValueError(f"{path}: columns missing {sorted(missing)}, unknown {sorted(unknown)}")
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    with atomic(path) as partial:
        pq.write_table(table.replace_schema_metadata({origin.KEY: provenance.to_json()}), partial)


def read_table(path: Path, schema: pa.Schema, expect: Provenance | None = None) -> pd.DataFrame:
    """Read a table of this schema; a nullable integer column comes as pandas Int16, a list column as arrays.

    expect: refuse (`ProvenanceError`) a file whose origin differs in a field that is set there.
    """
    table = _open(path)
    if expect is not None:
        origin.verify(path, _provenance(path, table.schema), expect)
    for field in schema:
        if field.name not in table.column_names:
            raise InputError(f"{path}: column {field.name} is missing. {_remedy(path)}")
        if table.schema.field(field.name).type != field.type:
            stored = table.schema.field(field.name).type
            raise InputError(f"{path}: column {field.name} is {stored}, not {field.type}. {_remedy(path)}")
    frame: pd.DataFrame = table.select(schema.names).to_pandas()
    nullable = {field.name: "Int16" for field in schema if field.nullable and field.type == pa.int16()}
    return frame.astype(nullable)


def read_tables(paths: Sequence[Path], schema: pa.Schema, expect: Provenance | None = None) -> pd.DataFrame:
    """Tables of one schema, one below the other; `expect` as for `read_table`."""
    return pd.concat([read_table(path, schema, expect) for path in paths], ignore_index=True)


def merge(
    shards: Sequence[Path], schema: pa.Schema, keys: Sequence[str], image_ids: Sequence[str]
) -> tuple[pd.DataFrame, Provenance]:
    """Tables of all shards, one below the other in the pictures' order, and what made them.

    keys: columns that tell rows apart; image_ids: every picture, in order. Raises ProvenanceError for shards
    that were made differently, InputError where a picture is missing or a row there twice.
    """
    made = origin_of(shards[0])
    whole = read_tables(shards, schema, expect=made)
    found = whole["image_id"].drop_duplicates().tolist()
    if found != list(image_ids) or whole.duplicated(list(keys)).any():
        named = " ".join(str(shard) for shard in shards)
        raise InputError(
            f"{shards[0].parent}: the {len(found)} pictures of these shards are not the {len(image_ids)} of "
            f"the set. Delete them (`rm {named}`) and run `snakemake` again."
        )
    return whole, made


def read_provenance(path: Path) -> Provenance | None:
    """What made the parquet table at `path`; None if it does not say."""
    return _provenance(path, _open(path).schema)


def origin_of(path: Path) -> Provenance:
    """What made the parquet table at `path`; refuses one that does not say."""
    made = read_provenance(path)
    if made is None:
        raise ProvenanceError(f"{path}: does not say what made it. {_remedy(path)}")
    return made


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write the table behind a figure: UTF-8, one header line, six significant digits."""
    with atomic(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")


def _open(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table. Run `snakemake` to make it.") from error
    except PermissionError as error:
        raise InputError(
            f"{path}: may not be read. Allow it (`chmod u+r {path}`) and run `snakemake` again."
        ) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable table ({error}). {_remedy(path)}") from error


def _provenance(path: Path, schema: pa.Schema) -> Provenance | None:
    text = (schema.metadata or {}).get(origin.KEY.encode())
    return None if text is None else Provenance.from_json(text.decode(), path)


def _remedy(path: Path) -> str:
    return f"Delete it (`rm {path}`) and run `snakemake` again."
