"""What made a file: equal settings give equal text, another checkpoint another fingerprint."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic
import pytest
from safetensors.numpy import save_file

from vitpeel import provenance
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.provenance import Provenance, canonical, fingerprint, verify


@dataclass(frozen=True)
class Decoding:
    beams: int
    folder: Path


class Model(pydantic.BaseModel):
    beams: int
    folder: Path


def test_equal_settings_have_one_text_whatever_holds_them() -> None:
    plain = {"folder": "a/b", "beams": 5}
    text = '{"beams":5,"folder":"a/b"}'
    for settings in (
        plain,
        Decoding(5, Path("a/b")),
        Model(beams=5, folder=Path("a/b")),
    ):
        assert canonical(settings) == text
    assert canonical({"x": frozenset({3, 1})}) == '{"x":[1,3]}'
    with pytest.raises(TypeError, match="object"):
        canonical({"x": object()})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"hidden_size": 96}')
    (folder / "README.md").write_text("words")
    save_file({"a": np.zeros(30_000), "b": np.zeros(30_000)}, folder / "model.safetensors")
    return folder


def poke(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("read_whole", [2**26, 0])
def test_the_fingerprint_follows_what_computes_and_nothing_else(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_whole: int
) -> None:
    monkeypatch.setattr(provenance, "_READ_WHOLE", read_whole)
    before = fingerprint(checkpoint)
    (checkpoint / "README.md").write_text("other words")
    assert fingerprint(checkpoint.rename(tmp_path / "moved")) == before
    checkpoint = tmp_path / "moved"
    weights = checkpoint / "model.safetensors"
    header = 8 + struct.unpack("<Q", weights.read_bytes()[:8])[0]
    for middle in (header + 120_000, header + 360_000):
        poke(weights, middle)
        assert fingerprint(checkpoint) != before
        poke(weights, middle)
    assert fingerprint(checkpoint) == before
    poke(weights, header + 50_000)  # outside the samples
    assert (fingerprint(checkpoint) != before) == bool(read_whole)
    poke(weights, header + 50_000)
    (checkpoint / "config.json").write_text('{"hidden_size": 97}')
    assert fingerprint(checkpoint) != before


def test_a_checkpoint_folder_without_weights(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(InputError) as caught:
        fingerprint(checkpoint)
    assert str(caught.value) == (
        f"{checkpoint}: no *.safetensors weights in this checkpoint folder (only pytorch_model.bin, pickles, "
        "which are not loaded). Save the model there with `save_pretrained`, or "
        "set model.checkpoint to another folder."
    )
    with pytest.raises(InputError, match=r"nowhere: no such checkpoint folder\. Set model\.checkpoint"):
        fingerprint(checkpoint / "nowhere")


def test_truncated_weights_and_other_files_of_that_name(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[:200_000])
    with pytest.raises(
        InputError,
        match=rf"model\.safetensors: truncated, 200,000 of {size:,} bytes are there\.",
    ):
        fingerprint(checkpoint)
    weights.write_bytes(weights.read_bytes()[:20])
    with pytest.raises(InputError, match="truncated inside its header"):
        fingerprint(checkpoint)
    for content in (
        b"",
        b"short",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"oops",
    ):
        weights.write_bytes(content)
        with pytest.raises(
            InputError,
            match=r"model\.safetensors: not a safetensors file .* Copy or download",
        ):
            fingerprint(checkpoint)


def test_metadata_round_trip_and_version(tmp_path: Path) -> None:
    made = Provenance(checkpoint="c0ffee", config=canonical({"beams": 5}))
    assert Provenance.from_json(made.to_json(), tmp_path) == made
    assert made.vitpeel == provenance._version()
    for text in ("{", '{"colour": "red"}', "[]"):
        with pytest.raises(ProvenanceError, match="metadata is not readable"):
            Provenance.from_json(text, tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        (
            {"checkpoint": "a" * 64},
            {"checkpoint": "b" * 64},
            "made with checkpoint aaaaaaaaaaaa…, but this run has bbbbbbbbbbbb…",
        ),
        (
            {},
            {"dtype": "float16"},
            "made with dtype unrecorded, but this run has float16",
        ),
        (
            {"config": {"b": {"c": 1}}},
            {"config": {"b": {"d": 2}}},
            "made with config.b.c 1, but this run has unset",
        ),
        (
            {"preprocessing": {"size": 64}},
            {"preprocessing": {"size": 224}},
            "made with preprocessing.size 64, but this run has 224",
        ),
        (
            {"config": "abc"},
            {"config": "abd"},
            "made with config abc, but this run has abd",
        ),
    ],
)
def test_each_field_is_compared(found: dict, expected: dict, message: str) -> None:
    def made(fields: dict) -> Provenance:
        return Provenance(**{k: json.dumps(v) if isinstance(v, dict) else v for k, v in fields.items()})

    with pytest.raises(ProvenanceError) as caught:
        verify(Path("results/x.parquet"), made(found), made(expected))
    assert str(caught.value).startswith(f"results/x.parquet: {message}. Delete it (`rm results/x.parquet`)")


def test_what_does_not_apply_is_not_compared() -> None:
    made = Provenance(checkpoint="a", dtype="float32", vitpeel="0.0.1")
    verify(Path("x"), made, Provenance(checkpoint="a"))
    verify(Path("x"), made, Provenance())
