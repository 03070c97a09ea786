"""Algorithm 1 against a plain loop with forward hooks on transformers' own model, and its switches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from transformers import InstructBlipForConditionalGeneration

from vitpeel import caption_tables, models, pruning
from vitpeel.config import Decoding
from vitpeel.edits import ScaleHeads
from vitpeel.errors import InputError, VitpeelError
from vitpeel.models import Model
from vitpeel.pruning import Choices
from vitpeel.sweep import HeadReading, Sweep, Variant
from vitpeel.tables import SCORES, Reading, read_table, write_table

BLOCKS, HEADS, SIZE, LAYERS = 4, 4, 8, (1, 2)
IMAGES = ("p", "q", "r", "s")
DECODING = Decoding(beams=1, max_new_tokens=12)
READINGS: tuple[HeadReading, ...] = ("alone", "left out", "bare")
Factors = Mapping[int, Mapping[int, float]]  # layer -> head -> factor


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("checkpoint"), tiny.config(blocks=BLOCKS))


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return models.load("instructblip", checkpoint, prompt=tiny.PROMPT, device="cpu")


def likeness(one: str, other: str) -> float:
    """Stands in for BERTScore: words in common."""
    mine, yours = set(one.split()), set(other.split())
    return len(mine & yours) / max(1, len(mine | yours))


def score(captions: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(captions["caption"], pruning.combined(captions), strict=True)
    rows = captions[list(Reading._fields)]
    return rows.assign(metric="bertscore", value=[likeness(*pair) for pair in pairs])


def captioning(
    model: Model, images: Sequence[str] = IMAGES, batch: int = 2
) -> Callable[[Sequence[Variant]], pd.DataFrame]:
    """Captions of any variants for some of the test's pictures."""
    pixels = tiny.pictures(len(IMAGES))[[IMAGES.index(image) for image in images]]

    def rows(variants: Sequence[Variant]) -> Iterator[Any]:
        run = Sweep(model.trunk, tuple(variants))
        for start in range(0, len(images), batch):
            for own in run(pixels[start : start + batch]):
                for image, z in zip(images[start:], own.z, strict=False):
                    yield Reading(image, own.variant, own.layer, own.head), z

    return lambda variants: caption_tables.caption(model, rows(variants), images, variants, DECODING, 8)


class Original:
    """The checkpoint in transformers, cut off after a layer and with hooks, and its own `generate`."""

    def __init__(self, checkpoint: Path) -> None:
        loaded: Any = InstructBlipForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
        self.whole, self.tools = loaded.eval(), tiny.processor(32, 4)
        self.blocks = self.whole.vision_model.encoder.layers

    def says(self, picture: torch.Tensor, layer: int, factors: Factors, bare: bool = False) -> str:
        hooks = []
        for at, by_head in factors.items():

            def scale(_: Any, args: Any, by_head: Mapping[int, float] = by_head) -> Any:
                heads = args[0].clone()
                for head, factor in by_head.items():
                    heads[..., head * SIZE : (head + 1) * SIZE] *= factor
                return (heads,)

            hooks.append(self.blocks[at].self_attn.projection.register_forward_pre_hook(scale))
        if bare:
            kept: list[Any] = []
            block = self.blocks[layer]
            hooks.append(block.self_attn.register_forward_hook(lambda _, args, out: kept.append(out[0])))
            hooks.append(block.register_forward_hook(lambda _, args, out: kept[-1]))
        self.whole.vision_model.encoder.layers = self.blocks[: layer + 1]
        (said,) = tiny.generate(self.whole, self.tools, picture[None], DECODING)
        for hook in hooks:
            hook.remove()
        return said


def of_one_head(head: int, reading: HeadReading) -> dict[int, float]:
    others = {other: 0.0 for other in range(HEADS) if other != head}
    return {head: 0.0} if reading == "left out" else others


def algorithm_1(original: Original, reading: HeadReading, greedy: bool) -> list[tuple[Any, ...]]:
    """The paper's lines 6 to 16, one after the other: (layer, head, score, importance, coefficient, pruned).

    Normalised coefficients, the lowest head pruned.
    """
    plan, done = [], {}
    for layer in LAYERS:
        earlier = dict(done) if greedy else {}
        sums = [0.0] * HEADS
        for picture in tiny.pictures(len(IMAGES)):
            combined = original.says(picture, layer, earlier)
            for head in range(HEADS):
                alone = {**earlier, layer: of_one_head(head, reading)}
                said = original.says(picture, layer, alone, bare=reading == "bare")
                sums[head] += likeness(said, combined)
        average = [total / len(IMAGES) for total in sums]
        powers = [exp(value / 0.5) for value in average]
        alpha = [power / sum(powers) for power in powers]
        lowest = min(range(HEADS), key=lambda head: (average[head], head))
        done[layer] = {h: 0.0 if h == lowest else HEADS * alpha[h] for h in range(HEADS)}
        plan += [(layer, h, average[h], alpha[h], HEADS * alpha[h], h == lowest) for h in range(HEADS)]
    return plan


SWITCHES = Choices(temperature=0.5, count=1)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("greedy", [False, True], ids=["joint", "greedy"])
def test_the_plan_is_the_algorithm_s(
    reading: HeadReading, greedy: bool, model: Model, checkpoint: Path
) -> None:
    caption = captioning(model)
    if greedy:
        captions = pruning.caption_greedily(caption, LAYERS, reading, score, SWITCHES)
    else:
        captions = caption(pruning.readings(LAYERS, reading))
    plan = pruning.prune(pruning.score_heads(captions, score), SWITCHES)
    expected = pd.DataFrame(algorithm_1(Original(checkpoint), reading, greedy), columns=plan.columns)
    pd.testing.assert_frame_equal(plan, expected, check_dtype=False, rtol=1e-9)
    assert plan["score"].nunique() > 2


def test_greedy_decides_on_the_model_pruned_so_far(model: Model) -> None:
    caption = captioning(model)
    joint = caption(pruning.readings(LAYERS, "alone"))
    greedy = pruning.caption_greedily(caption, LAYERS, "alone", score, SWITCHES)
    keys = list(Reading._fields)
    pd.testing.assert_frame_equal(joint[keys], greedy[keys])
    first, second = (joint["caption"] == greedy["caption"])[joint["layer"] == 1], joint["layer"] == 2
    assert first.all() and not (joint["caption"] == greedy["caption"])[second].all()


def test_the_pruned_model_says_what_the_hooked_one_says(model: Model, checkpoint: Path) -> None:
    plan = hand_plan(scores=[[0.9, 0.1, 0.5, 0.7], [0.2, 0.3, 0.8, 0.8]], choices=SWITCHES)
    read = pruning.variants(plan, BLOCKS, draws=0, seed=0)
    said = captioning(model)(read)
    said = said[said["layer"] == BLOCKS - 1].set_index(["image_id", "variant"])["caption"]
    full = {
        layer: {int(row.head): 0.0 if row.pruned else row.coefficient for row in own.itertuples()}
        for layer, own in plan.groupby("layer")
    }
    mask = {layer: {h: float(f != 0) for h, f in heads.items()} for layer, heads in full.items()}
    weighted = {
        layer: dict(zip(own["head"], own["coefficient"], strict=True)) for layer, own in plan.groupby("layer")
    }
    original = Original(checkpoint)
    for image, picture in zip(IMAGES, tiny.pictures(len(IMAGES)), strict=True):
        for variant, factors in (("pruned", full), ("pruned only", mask), ("scaled only", weighted)):
            assert said[image, variant] == original.says(picture, BLOCKS - 1, factors), variant


def test_shards_do_not_change_the_plan(model: Model) -> None:
    whole = captioning(model)(pruning.readings(LAYERS, "alone"))
    parts = [
        captioning(model, part, 1)(pruning.readings(LAYERS, "alone")) for part in (IMAGES[:1], IMAGES[1:])
    ]
    for captions in (whole, pd.concat(parts, ignore_index=True), pd.concat(parts[::-1], ignore_index=True)):
        plan = pruning.prune(pruning.score_heads(captions, score), SWITCHES)
        expected = pruning.prune(pruning.score_heads(whole, score), SWITCHES)
        pd.testing.assert_frame_equal(plan, expected, check_exact=True)


# Scores by hand: the switches of lines 14 to 16.


def hand_scores(scores: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Two pictures whose mean is given, layers from 1."""
    rows = [
        (image, "heads", layer, head, "bertscore", value + shift)
        for layer, own in enumerate(scores, start=1)
        for head, value in enumerate(own)
        for image, shift in (("p", 0.05), ("q", -0.05))
    ]
    return pd.DataFrame(rows, columns=SCORES.names).astype({"head": "Int16"})


def hand_plan(scores: Sequence[Sequence[float]], choices: Choices) -> pd.DataFrame:
    return pruning.prune(hand_scores(scores), choices)


def pruned(plan: pd.DataFrame, layer: int = 1) -> list[int]:
    own = plan[plan["layer"] == layer]
    return own.loc[own["pruned"], "head"].tolist()


def test_softmax_is_within_a_layer_and_has_a_temperature() -> None:
    scores = [[0.9, 0.8, 0.5], [0.1, 0.1, 0.1]]
    plan = hand_plan(scores, Choices(temperature=1.0, count=1))
    powers = np.exp([0.9, 0.8, 0.5])
    np.testing.assert_allclose(plan["importance"][:3], powers / powers.sum())
    np.testing.assert_allclose(plan["importance"][3:], 1 / 3)
    sharp = hand_plan(scores, Choices(temperature=0.01, count=1))
    np.testing.assert_allclose(sharp["importance"][:3], [1, 0, 0], atol=1e-4)


@pytest.mark.parametrize(("kind", "total"), [("normalised", 3.0), ("literal", 1.0), ("none", 3.0)])
def test_coefficients(kind: Any, total: float) -> None:
    plan = hand_plan([[0.9, 0.8, 0.5]], Choices(coefficients=kind, count=1))
    assert plan["coefficient"].sum() == pytest.approx(total)
    factor = {"normalised": 3 * plan["importance"], "literal": plan["importance"], "none": 1.0}[kind]
    np.testing.assert_allclose(plan["coefficient"], factor)
    edit = pruning.edit_of(plan)
    assert isinstance(edit, ScaleHeads)
    assert edit.scales[1] == {0: plan["coefficient"][0], 1: plan["coefficient"][1], 2: 0.0}


def test_which_heads_go() -> None:
    scores = [[0.9, 0.2, 0.5, 0.3], [0.4, 0.4, 0.4, 0.4]]
    lowest = hand_plan(scores, Choices(count=2))
    assert (pruned(lowest, 1), pruned(lowest, 2)) == ([1, 3], [0, 1])  # equal heads: by number
    below = hand_plan(scores, Choices(select="threshold", threshold=0.7, temperature=0.5))
    np.testing.assert_allclose(4 * below["importance"][:4], [2.003, 0.494, 0.900, 0.603], atol=1e-3)
    assert (pruned(below, 1), pruned(below, 2)) == ([1, 3], [])


@pytest.mark.parametrize(
    ("choices", "key"),
    [(Choices(count=4), "count: 4"), (Choices(select="threshold", threshold=2.0), "threshold")],
)
def test_a_layer_without_heads_is_refused(choices: Choices, key: str) -> None:
    with pytest.raises(InputError, match=rf"pruning\.{key}.* all 4 heads of layer 1\. Write a lower"):
        hand_plan([[0.4, 0.4, 0.4, 0.4]], choices)


def test_the_plan_has_its_schema_and_comes_back_as_it_was(tmp_path: Path) -> None:
    from vitpeel.provenance import Provenance

    plan = hand_plan([[0.9, 0.2, 0.5, 0.3]], Choices())
    write_table(tmp_path / "plan.parquet", plan, pruning.PLAN, Provenance())
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "plan.parquet", pruning.PLAN), plan, check_dtype=False, check_exact=True
    )


def test_a_combined_output_that_was_not_captioned_is_named() -> None:
    rows = [("p", "heads", 3, 0, "a dog"), ("q", "heads", 3, 0, "a cat"), ("p", "combined", 3, None, "a dog")]
    captions = pd.DataFrame(rows, columns=[*Reading._fields, "caption"]).astype({"head": "Int16"})
    with pytest.raises(VitpeelError, match="picture q: no caption of the combined output of layer 3"):
        pruning.combined(captions)


# The controls.

PLAN = [[0.9, 0.2, 0.5, 0.3], [0.1, 0.6, 0.4, 0.8]]


def factors(plan: pd.DataFrame) -> list[list[float]]:
    kept = plan["coefficient"].where(~plan["pruned"], 0.0)
    return [own.tolist() for _, own in kept.groupby(plan["layer"])]


def test_random_prunings_deal_the_same_coefficients_to_other_heads() -> None:
    plan = hand_plan(PLAN, Choices(count=2))
    drawn = [pruning.shuffled(plan, seed=5, draw=draw) for draw in range(30)]
    for own in drawn:
        assert [sorted(layer) for layer in factors(own)] == [sorted(layer) for layer in factors(plan)]
        pd.testing.assert_frame_equal(own[["layer", "head"]], plan[["layer", "head"]])
    assert len({str(factors(own)) for own in drawn}) > 25
    pd.testing.assert_frame_equal(pruning.shuffled(plan, seed=5, draw=3), drawn[3])
    assert not pruning.shuffled(plan, seed=6, draw=3).equals(drawn[3])
    first = [factors(own)[0] for own in drawn]
    assert {layer.index(0.0) for layer in first} == {0, 1, 2}  # any head may be the first that goes


def test_upside_down_the_best_go() -> None:
    plan = hand_plan(PLAN, Choices(count=2))
    turned = pruning.upside_down(plan)
    assert (pruned(turned, 1), pruned(turned, 2)) == ([0, 2], [1, 3])
    by_score = plan.sort_values(["layer", "score"])["coefficient"].to_numpy().reshape(2, 4)
    head_by_score = plan.sort_values(["layer", "score"])["head"].to_numpy().reshape(2, 4)
    for layer in (0, 1):
        own = turned[turned["layer"] == layer + 1].set_index("head")["coefficient"]
        np.testing.assert_array_equal(own[head_by_score[layer]].to_numpy(), by_score[layer][::-1])


def test_what_table_1_compares() -> None:
    plan = hand_plan(PLAN, Choices(count=1))
    names = [variant.name for variant in pruning.variants(plan, depth=5, draws=2, seed=0)]
    assert names == ["pruned", "pruned only", "scaled only", "best", "random 0", "random 1"]
    assert {variant.layers for variant in pruning.variants(plan, 5, 2, 0)} == {(1, 2, 3, 4)}
    plain = hand_plan(PLAN, Choices(count=1, coefficients="none"))
    assert [v.name for v in pruning.variants(plain, 5, 1, 0)] == ["pruned", "best", "random 0"]


def test_below_the_first_pruned_layer_all_say_what_the_unedited_model_says() -> None:
    def said(image: str, variant: str, layers: Sequence[int]) -> list[tuple[Any, ...]]:
        return [(image, variant, layer, None, f"{image} {variant} {layer}") for layer in layers]

    columns = [*Reading._fields, "caption"]
    unedited = [*said("p", "unedited", range(4)), *said("q", "unedited", range(4))]
    edited = [*said("p", "pruned", (2, 3)), *said("p", "best", (2, 3))]
    whole = pruning.completed(
        pd.DataFrame(edited, columns=columns), pd.DataFrame(unedited, columns=columns)
    ).set_index(["variant", "layer"])["caption"]
    assert len(whole) == 12 and set(whole.loc["unedited"].str[0]) == {"p"}
    assert whole["best"].sort_index().tolist() == [
        "p unedited 0", "p unedited 1", "p best 2", "p best 3"
    ]  # fmt: skip
