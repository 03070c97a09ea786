"""The verdict on two engines, from answers made up here. The real LAVIS: tests/pipeline/test_parity.py."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from PIL import Image

from vitpeel import models
from vitpeel.config import Decoding
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import VitpeelError
from vitpeel.lavis.engine import Answer, Said
from vitpeel.lavis.parity import compare, verdict

GREEDY = Decoding(beams=1, max_new_tokens=6)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("checkpoint"), tiny.config())


@pytest.fixture(scope="module")
def model(folder: Path) -> models.Model:
    return models.load("instructblip", folder, prompt=tiny.PROMPT, device="cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    place = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(place / f"{name}.png")
    return [Picture(name, place / f"{name}.png") for name in "ab"]


@pytest.fixture(scope="module")
def honest(model: models.Model, folder: Path, pictures: list[Picture]) -> Answer:
    """What the checkpoint's own modules give, in LAVIS's place."""
    from transformers import InstructBlipForConditionalGeneration

    checkpoint: Any = InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
    tools: Any = tiny.processor(32, 4)
    pixels = model.preprocess([Image.open(picture.path) for picture in pictures])
    words = tools(images=Image.new("RGB", (8, 8)), text=tiny.PROMPT, return_tensors="pt")
    image = words["input_ids"][0] == checkpoint.config.image_token_id
    parts, said = {"pixels": pixels}, []
    with torch.inference_mode():
        hidden = checkpoint.vision_model(pixels, output_hidden_states=True).hidden_states[1:]
        for layer, z in enumerate(hidden):
            seen = checkpoint.vision_model.post_layernorm(z)
            read = checkpoint.qformer(
                input_ids=words["qformer_input_ids"].expand(2, -1),
                query_embeds=checkpoint.query_tokens.expand(2, -1, -1),
                encoder_hidden_states=seen,
            ).last_hidden_state[:, :4]
            projected = checkpoint.language_projection(read)
            embedded = checkpoint.get_input_embeddings()(words["input_ids"]).repeat(2, 1, 1)
            embedded[:, image] = projected
            logits = checkpoint.language_model(
                inputs_embeds=embedded, decoder_input_ids=torch.zeros(2, 1, dtype=torch.long)
            ).logits[:, 0]
            for name, value in {
                "vit": z,
                "ln_vision": seen,
                "qformer": read,
                "projection": projected,
                "logits": logits,
            }.items():
                parts[f"{name}.{layer}"] = value
            captions = model.captioner.caption(enumerate(z), GREEDY, 2)
            said += [Said(c.key, layer, c.text, c.tokens, c.truncated) for c in captions]
    prompt = {
        "language": words["input_ids"][0][~image].tolist(),
        "qformer": words["qformer_input_ids"][0].tolist(),
    }
    return Answer(tuple(said), prompt, parts)


def table(model: models.Model, answer: Answer, pictures: list[Picture], decoding: Decoding = GREEDY) -> Any:
    return compare(model, answer, pictures, decoding, TOLERANCE)


def refusal(found: pd.DataFrame) -> str:
    """Of the table as it is read again."""
    with pytest.raises(VitpeelError) as refused:
        verdict(pd.read_csv(io.StringIO(found.to_csv(index=False))), TOLERANCE)
    return str(refused.value)


def test_equal_engines_agree(model: models.Model, honest: Answer, pictures: list[Picture]) -> None:
    found = table(model, honest, pictures)
    assert found["agrees"].all() and (found["different"] == 0).all()
    assert found["max_absolute"].max() <= 1e-4
    assert list(dict.fromkeys(found["part"])) == [
        *("prompt", "pixels", "vit", "ln_vision", "qformer", "projection", "logits", "caption")
    ]
    assert found[found["part"] == "qformer"]["layer"].tolist() == [0, 1, 2]
    assert verdict(found, TOLERANCE).startswith("20 rows agree; the farthest apart by ")


@pytest.mark.parametrize("part", ["pixels", "vit.1", "ln_vision.0", "qformer.2", "projection.1", "logits.0"])
@pytest.mark.parametrize("fault", [1e-3, float("nan")])
def test_a_part_that_differs_is_named(
    part: str, fault: float, model: models.Model, honest: Answer, pictures: list[Picture]
) -> None:
    wrong = honest.parts[part].clone()
    wrong[0].view(-1)[3] += fault * wrong.abs().max()
    found = table(model, replace(honest, parts={**honest.parts, part: wrong}), pictures)
    assert found["agrees"].sum() == len(found) - 1
    name, _, layer = part.partition(".")
    assert f"in 1 of 20 rows. The first is {name}{f' of layer {layer}' if layer else ''}: " in refusal(found)
    if fault == fault:
        assert found[~found["agrees"]]["different"].item() == 1


def test_a_caption_that_differs_is_counted(
    model: models.Model, honest: Answer, pictures: list[Picture]
) -> None:
    said = [
        replace(one, text="a dog") if (one.picture, one.layer) == (1, 2) else one for one in honest.captions
    ]
    found = table(model, replace(honest, captions=tuple(said)), pictures)
    assert "The first is caption of layer 2: 1 of 2 differ." in refusal(found)


def test_another_prompt_is_noticed(model: models.Model, honest: Answer, pictures: list[Picture]) -> None:
    for reader in ("language", "qformer"):
        prompt = {**honest.prompt, reader: [*honest.prompt[reader][:-1], 9]}
        assert "The first is prompt: 2 of 2 differ." in refusal(
            table(model, replace(honest, prompt=prompt), pictures)
        )


def test_beams_that_were_cut_off_are_set_aside_and_counted(
    model: models.Model, honest: Answer, pictures: list[Picture]
) -> None:
    said = tuple(replace(one, text="something", truncated=True) for one in honest.captions)
    beams = Decoding(beams=2, max_new_tokens=6)
    found = table(model, replace(honest, captions=said), pictures, beams)
    captions = found[found["part"] == "caption"]
    assert captions["cut"].tolist() == [2, 2, 2] and captions["agrees"].all()
    assert not table(model, replace(honest, captions=said), pictures)["agrees"].all()  # greedy: all compared


def test_another_shape_is_refused(model: models.Model, honest: Answer, pictures: list[Picture]) -> None:
    parts = {**honest.parts, "qformer.0": honest.parts["qformer.0"][:, :3]}
    with pytest.raises(VitpeelError, match=r"parity: \(2, 4, 32\) in vitpeel, but \(2, 3, 32\) in LAVIS"):
        table(model, replace(honest, parts=parts), pictures)
