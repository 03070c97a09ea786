"""Asking the reference engine, a shell script in its place. The real one: tests/pipeline/test_parity.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vitpeel.config import Decoding
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import InputError
from vitpeel.lavis import engine
from vitpeel.tables import Reading

MODEL = {"kind": "blip2", "checkpoint": "checkpoint", "dtype": "float32", "device": "cpu"}
READING = {"prompt": "a", "readout": "none", "qformer_dtype": "float32", "language_dtype": "float32"}
PREPROCESSING = json.dumps({"size": {"height": 8, "width": 8}, "image_mean": [0.5], "image_std": [0.5]})
SAID = {"picture": 0, "layer": 2, "text": "a dog", "tokens": 2, "truncated": False}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    return [Picture("clear", tmp_path / "clear.png")]


def environment(folder: Path, program: str) -> Path:
    """A folder whose interpreter is a shell script; $3 is the folder of the request."""
    (folder / "environment/bin").mkdir(parents=True)
    python = folder / "environment/bin/python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    return folder / "environment"


def ask(place: Path, pictures: list[Picture]) -> engine.Answer:
    return engine.ask(place, pictures, MODEL, READING, PREPROCESSING, Decoding(beams=3), 7)


def test_what_it_is_told_and_what_it_says(tmp_path: Path, pictures: list[Picture]) -> None:
    (tmp_path / "said.jsonl").write_text(json.dumps(SAID) + "\n")
    program = (
        f'cp "$3/request.json" {tmp_path}; cp "$3/picture-0.png" {tmp_path}; '
        f'cp {tmp_path}/said.jsonl "$3/captions.jsonl"; echo \'{{"language": [1]}}\' > "$3/prompt.json"'
    )
    answer = ask(environment(tmp_path, program), pictures)
    request: dict[str, Any] = json.loads((tmp_path / "request.json").read_text())
    assert Path(request["checkpoint"]).is_absolute()
    assert (request["side"], request["batch"], request["decoding"]["beams"]) == (8, 7, 3)
    with Image.open(tmp_path / "picture-0.png") as sent:
        assert sent.mode == "RGB" and sent.getpixel((0, 0)) == (
            255,
            255,
            255,
        )  # laid over white, as for vitpeel
    (caption,) = engine.readings(answer, pictures, "unedited")
    assert caption.key == Reading("clear", "unedited", 2, None)
    assert (caption.text, caption.tokens, caption.truncated) == ("a dog", 2, False)


def test_a_failure_is_one_line(tmp_path: Path, pictures: list[Picture]) -> None:
    place = environment(tmp_path, 'printf "ValueError: no place for a weight" > "$3/failure.txt"; exit 1')
    with pytest.raises(
        InputError, match=r"^LAVIS: ValueError: no place for a weight\. What it printed is in"
    ):
        ask(place, pictures)


def test_so_is_the_end_of_the_program(tmp_path: Path, pictures: list[Picture]) -> None:
    with pytest.raises(InputError, match=r"^LAVIS: ended with status 9\."):
        ask(environment(tmp_path, "exit 9"), pictures)
