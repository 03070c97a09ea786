"""Captions against the checkpoint's own `generate`, and against themselves in other batches and orders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from vitpeel import captioner, models
from vitpeel.captioner import Caption
from vitpeel.config import Decoding
from vitpeel.demo import words as demo_words
from vitpeel.models import Model
from vitpeel.sweep import Variant, sweep, unedited

PICTURES = 12


def decoding(**changes: Any) -> Decoding:
    """The paper's settings, cut short."""
    default = {"beams": 5, "repetition_penalty": 1.5, "length_penalty": 1.0, "min_new_tokens": 1}
    return Decoding(**{**default, "max_new_tokens": 24, **changes})


GREEDY, BEAMS = decoding(beams=1), decoding()


@pytest.fixture(scope="module", params=[True, False], ids=["flan", "first"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    return tiny.save(folder, tiny.config(gated=request.param))


@pytest.fixture(scope="module")
def original(checkpoint: Path) -> Any:
    return InstructBlipForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return models.load("instructblip", checkpoint, prompt=tiny.PROMPT, device="cpu")


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def rows(model: Model, count: int = PICTURES) -> list[tuple[tuple[int, int], Tensor]]:
    """((picture, layer), Z^l) of every picture at every layer."""
    readings = sweep(model.trunk, tiny.pictures(count), [unedited(model.trunk.depth)])
    return [((picture, r.layer), z) for r in readings for picture, z in enumerate(r.z)]


def texts(captions: Iterator[Caption[Any]]) -> dict[Any, tuple[str, int, bool]]:
    return {c.key: (c.text, c.tokens, c.truncated) for c in captions}


@pytest.mark.parametrize(
    "settings",
    [
        GREEDY,
        BEAMS,
        decoding(beams=1, max_new_tokens=5),
        decoding(max_new_tokens=5),
        decoding(beams=1, repetition_penalty=1.0, max_new_tokens=17),
        decoding(repetition_penalty=1.0, max_new_tokens=17),
        decoding(beams=1, min_new_tokens=9, max_new_tokens=17),
        decoding(min_new_tokens=9, max_new_tokens=17),
        decoding(length_penalty=-1.0, max_new_tokens=17),
        decoding(length_penalty=2.0, beams=3, max_new_tokens=17),
    ],
    ids=str,
)
def test_the_last_layers_captions_equal_generate(
    original: Any, checkpoint: Path, model: Model, settings: Decoding
) -> None:
    tools = tiny.processor(32, 4)
    pictures = tiny.pictures(PICTURES)
    last = [row for row in rows(model) if row[0][1] == model.trunk.depth - 1]
    captions = list(model.captioner.caption(last, settings, batch=16))
    assert [c.key for c in captions] == [key for key, _ in last]
    assert [c.text for c in captions] == tiny.generate(original, tools, pictures, settings)
    assert len({c.text for c in captions}) > 2
    assert {c.tokens for c in captions if c.truncated} <= {settings.max_new_tokens}


def test_an_earlier_layer_equals_generate_from_a_shorter_encoder(original: Any, model: Model) -> None:
    captions = texts(model.captioner.caption(rows(model, 8), BEAMS, batch=64))
    blocks = original.vision_model.encoder.layers
    try:
        original.vision_model.encoder.layers = blocks[:1]
        expected = tiny.generate(original, tiny.processor(32, 4), tiny.pictures(8), BEAMS)
    finally:
        original.vision_model.encoder.layers = blocks
    assert [captions[picture, 0][0] for picture in range(8)] == expected


@pytest.mark.parametrize("settings", [GREEDY, BEAMS], ids=["greedy", "beams"])
def test_batch_size_and_order_change_no_caption(model: Model, settings: Decoding) -> None:
    everything = rows(model, 12)
    expected = texts(model.captioner.caption(everything, settings, batch=256))
    assert {truncated for _, _, truncated in expected.values()} == {True, False}
    for batch in (7, 20):
        assert texts(model.captioner.caption(everything, settings, batch)) == expected
    assert texts(model.captioner.caption(everything[::-1], settings, 32)) == expected
    first = everything[0][0]
    assert texts(model.captioner.caption(everything[:1], settings, 1)) == {first: expected[first]}
    shards = [texts(model.captioner.caption(everything[i::3], settings, 32)) for i in range(3)]
    assert {key: value for shard in shards for key, value in shard.items()} == expected


def test_equal_rows_are_decoded_once_and_all_answered(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = rows(model, 6)
    doubled = [((copy, key), z.clone()) for key, z in everything for copy in range(3)]
    encoded: list[int] = []
    encode = type(model.captioner).encode
    monkeypatch.setattr(
        type(model.captioner), "encode", lambda self, z: encoded.append(len(z)) or encode(self, z)
    )
    captions = list(model.captioner.caption(doubled, GREEDY, batch=16))
    assert sum(encoded) == len(everything)
    assert [c.key for c in captions] == [key for key, _ in doubled]
    once = texts(model.captioner.caption(everything, GREEDY, batch=16))
    assert all((c.text, c.tokens, c.truncated) == once[c.key[1]] for c in captions)


def test_rows_are_read_as_there_is_room_for_them(model: Model) -> None:
    """A sweep over many pictures, or a cache on disk, must not be read ahead of the decoding."""
    read = 0

    def reading() -> Iterator[tuple[int, Tensor]]:
        nonlocal read
        for number, (_, z) in enumerate(rows(model, PICTURES)):
            read += 1
            yield number, z

    captions = model.captioner.caption(reading(), decoding(beams=1, max_new_tokens=4), batch=16)
    next(captions)
    assert read <= 2 * 16
    assert len(list(captions)) == read - 1 == len(rows(model)) - 1


def test_no_rows_give_no_captions(model: Model) -> None:
    assert list(model.captioner.caption([], BEAMS, batch=8)) == []


def test_the_readout_is_what_was_asked_for(checkpoint: Path, model: Model) -> None:
    bare = models.load("instructblip", checkpoint, prompt=tiny.PROMPT, device="cpu", readout="none")
    z = rows(model, 1)[-1][1][None]
    assert torch.equal(bare.captioner.readout(z), z)
    assert torch.equal(model.captioner.readout(z), model.trunk.post(z))


def test_the_prompt_reaches_both_q_former_and_language_model(checkpoint: Path, model: Model) -> None:
    other = models.load("instructblip", checkpoint, prompt="what animal is on this", device="cpu")
    seen = model.trunk.readout(rows(model, 1)[-1][1][None])
    assert not torch.allclose(model.captioner.queries(seen), other.captioner.queries(seen), atol=1e-3)
    words = tiny.processor(32, 4).tokenizer(tiny.PROMPT).input_ids
    assert model.captioner.image.tolist() == [True] * 4 + [False] * len(words)
    assert torch.equal(model.captioner.prompt[4:], model.captioner.t5.embedding[words])


@pytest.mark.parametrize(
    "settings", [decoding(beams=1, max_new_tokens=256), decoding(max_new_tokens=256)], ids=str
)
def test_the_shipped_checkpoint_says_what_its_own_generate_says(settings: Decoding) -> None:
    folder = Path(__file__).parents[2] / "resources/demo"
    model = models.load("instructblip", folder / "captioner", prompt=demo_words.PROMPT, device="cpu")
    original = InstructBlipForConditionalGeneration.from_pretrained(folder / "captioner", dtype=torch.float32)
    tools = InstructBlipProcessor.from_pretrained(folder / "captioner", backend="pil")
    paths = sorted((folder / "whoops").glob("*.jpg"))
    pixels = model.preprocess([Image.open(path).convert("RGB") for path in paths])
    (reading,) = sweep(model.trunk, pixels, [Variant("last", (model.trunk.depth - 1,))])
    captions = list(model.captioner.caption(enumerate(reading.z), settings, batch=256))
    assert [c.text for c in captions] == tiny.generate(
        original.eval(), tools, pixels, settings, demo_words.PROMPT
    )
    assert len({c.text for c in captions}) > 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_digest_tells_streams_apart_by_a_single_bit(dtype: torch.dtype) -> None:
    z = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)).to(dtype)
    whole = torch.int32 if dtype == torch.float32 else torch.int16
    found = {captioner._digest(z)}
    for place in range(z.numel()):
        for bit in (0, 7, 15):
            other = z.clone()
            other.view(whole).flatten()[place] ^= 1 << bit if bit < 15 else -(1 << 15)
            assert not torch.equal(other.view(whole), z.view(whole))
            found.add(captioner._digest(other))
    assert len(found) == 1 + 3 * z.numel()
    assert captioner._digest(z.T.contiguous().T) == captioner._digest(z)  # equal, though laid out otherwise
