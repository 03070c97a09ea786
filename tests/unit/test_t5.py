"""The explicit T5 against transformers', in both forms: FLAN-T5's and the first T5's."""

from collections.abc import Iterator
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.testing import assert_close

from vitpeel.models.t5 import t5_of
from vitpeel.t5 import T5

STEPS = 20  # beyond the distance at which this model's positions share a bucket


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(params=[True, False], ids=["flan", "first"])
def original(request: pytest.FixtureRequest) -> Any:
    return tiny.model(tiny.config(gated=request.param)).language_model


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def decoder_logits(original: Any, encoded: Tensor, words: Tensor) -> Tensor:
    """What transformers gives after the last word, without any cache.  words: [n, length] -> [n, V]."""
    logits: Tensor = original(encoder_outputs=(encoded,), decoder_input_ids=words, use_cache=False).logits
    return logits[:, -1]


def test_encoder_equals_the_original(original: Any) -> None:
    x = draw(3, 30, 32)
    expected = original.encoder(inputs_embeds=x).last_hidden_state
    assert_close(t5_of(original).encode(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_position_bias_equals_the_original(original: Any, bidirectional: bool) -> None:
    stack = original.encoder if bidirectional else original.decoder
    attention = stack.block[0].layer[0].SelfAttention
    positions = torch.arange(200)
    bias = t5_of(original).position_bias(
        attention.relative_attention_bias.weight, positions - positions[:, None], bidirectional
    )
    assert torch.equal(bias.permute(2, 0, 1)[None], attention.compute_bias(200, 200))


def test_steps_equal_the_original_for_rows_of_different_age(original: Any) -> None:
    """Row 0 begins four steps after row 1; each must see its own words only, at its own distances."""
    t5 = t5_of(original)
    encoded = draw(2, 6, 32)
    said = torch.randint(2, 100, (2, STEPS), generator=torch.Generator().manual_seed(1))
    cache = t5.empty_cache(rows=2, beams=1, keys=32, source_tokens=6)
    cache.admit(torch.tensor([1]), t5.source(encoded[1:]))
    for step in range(STEPS):
        if step == 4:
            cache.admit(torch.tensor([0]), t5.source(encoded[:1]))
        age = torch.tensor([max(step - 4, 0), step])
        logits = t5.step(said.gather(1, age[:, None]), age, cache)
        for row in (0, 1) if step >= 4 else (1,):
            expected = decoder_logits(original, encoded[row : row + 1], said[row : row + 1, : age[row] + 1])
            assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)


def test_beams_that_change_places_keep_their_own_past(original: Any) -> None:
    """Beams are reshuffled at every step and dead keys dropped once; no beam may lose or gain a word."""
    t5 = t5_of(original)
    rows, beams = 8, 4  # many rows, so that in some the very first key is still alive
    generator = torch.Generator().manual_seed(2)
    encoded = draw(rows, 6, 32)
    cache = t5.empty_cache(rows, beams, keys=10 * beams, source_tokens=6)
    cache.admit(torch.arange(rows), t5.source(encoded))
    said = torch.zeros(rows, beams, 0, dtype=torch.int64)
    for step in range(STEPS):
        if step == 10:
            cache.drop_dead(room=10 * beams, grain=16)
            # reshuffled beams soon descend from few: the dead are gone, and all that lives fits
            assert cache.used.max() < 10 * beams
            assert (cache.past.sum(-1) == 10).all()
        said = torch.cat([said, torch.randint(2, 100, (rows, beams, 1), generator=generator)], dim=2)
        logits = t5.step(said[..., -1], torch.full((rows,), step), cache)
        for row in range(rows):
            expected = decoder_logits(original, encoded[row].expand(beams, -1, -1), said[row])
            assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)
        parent = torch.randint(beams, (rows, beams), generator=generator)
        said = said.gather(1, parent[..., None].expand_as(said))
        cache.past = cache.past.gather(1, parent[..., None].expand_as(cache.past))


@pytest.mark.parametrize("beams", [1, 5])
def test_a_row_gives_the_same_bits_whatever_its_batch_and_slot(original: Any, beams: int) -> None:
    def logits(t5: T5, encoded: Tensor, row: int, rows: int, keys: int) -> list[Tensor]:
        cache = t5.empty_cache(rows, beams, keys, encoded.shape[1])
        cache.admit(torch.arange(rows), t5.source(encoded))
        out = []
        for step in range(6):
            words = torch.full((rows, beams), 7 + step) + torch.arange(beams)
            words[row] = 20 + step + torch.arange(beams)
            out.append(t5.step(words, torch.full((rows,), step), cache)[row])
        return out

    t5 = t5_of(original)
    few, many = draw(16, 6, 32), draw(100, 6, 32, seed=1)
    many[71] = few[3]
    alone = logits(t5, t5.encode(few), 3, 16, 16 * beams)
    crowded = logits(t5, t5.encode(many), 71, 100, 48 * beams)
    assert all(torch.equal(a, b) for a, b in zip(alone, crowded, strict=True))


def test_half_precision_keeps_transformers_rules() -> None:
    """In float16 T5's down projection stays in float32, and states that overflow are clamped."""
    original: Any = tiny.model(tiny.config()).language_model.half()
    for block in [*original.encoder.block, *original.decoder.block]:
        wo = block.layer[-1].DenseReluDense.wo
        wo.weight = torch.nn.Parameter(wo.weight.float(), requires_grad=False)
    original.encoder.block[0].layer[0].SelfAttention.o.weight.mul_(10_000)
    x = 60_000 * draw(2, 9, 32).sign().half()
    expected = original.encoder(inputs_embeds=x).last_hidden_state
    encoded = t5_of(original).encode(x)
    assert encoded.dtype == torch.float16
    assert encoded.isfinite().all()
    assert_close(encoded, expected, atol=2e-2, rtol=2e-2)
