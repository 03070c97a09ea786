"""The tables behind Figure 2 and appendix A, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest
from edited_captions import SPANS, edited
from scipy.stats import binomtest

from vitpeel import lower, lower_tables
from vitpeel.errors import VitpeelError
from vitpeel.scores.bootstrap import summarise


def test_the_table_behind_the_figure() -> None:
    captions, scores, chosen = edited()
    summary = summarise(scores, captions, "whoops", resamples=50)
    table = lower_tables.figure_table(summary, captions, chosen)
    assert len(table) == 3 * 55
    assert table["curve"].drop_duplicates().tolist() == [
        "unedited",
        "average",
        "average together",
        "other average",
        "other average together",
        "confusion",
    ]
    assert table[table["curve"] == "unedited"]["first"].isna().all()
    exact = table[(table["metric"] == "exact") & (table["curve"] == "average")]
    assert exact["first"].tolist() == list(range(21)) == exact["last"].tolist()
    by_hand = scores[(scores["metric"] == "exact") & (scores["variant"] == "average 7")]["value"].mean()
    assert exact["mean"].iloc[7] == pytest.approx(by_hand)
    confused = table[table["curve"] == "confusion"]
    assert (confused["distinct"] == 1).all() and (confused["pictures"] == 40).all()
    assert table[table["curve"] == "unedited"]["distinct"].iloc[0] == 11
    with pytest.raises(VitpeelError, match="average 21: no such variant"):
        lower_tables.figure_table(summary, captions, [lower.Point("average", 21, 21)])


def test_contrasts_are_paired_means_over_layers() -> None:
    _, scores, chosen = edited()
    table = lower_tables.contrasts(scores, chosen, *SPANS, resamples=4000).set_index(
        ["metric", "what", "minus"]
    )
    f1 = scores[scores["metric"] == "bertscore"].pivot(index="image_id", columns="variant", values="value")
    low = f1[[f"average {layer}" for layer in range(11)]].mean(axis=1)
    middle = f1[[f"average {layer}" for layer in range(11, 21)]].mean(axis=1)
    together = f1["average together 11-20"]
    assert table.loc[("bertscore", "average 0-10", ""), "mean"] == pytest.approx(low.mean())
    row = table.loc[("bertscore", "average 0-10", "average 11-20")]
    assert row["mean"] == pytest.approx((low - middle).mean())
    row = table.loc[("bertscore", "average together 11-20", "average 11-20")]
    assert row["mean"] == pytest.approx((together - middle).mean())
    # paired: the interval is that of the differences, drawn anew here
    green = f1["other average together 11-20"]
    row = table.loc[("bertscore", "other average together 11-20", "average together 11-20")]
    drawn = np.random.default_rng(5).choice((green - together).to_numpy(), (4000, 40)).mean(axis=1)
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert table.loc[("bertscore", "unedited", ""), "mean"] == 1
    assert ("exact", "other average together 11-20", "average together 11-20") in table.index
    assert ("exact", "confusion 0-10", "average 0-10") in table.index


def test_without_another_set_nothing_is_contrasted_with_it() -> None:
    _, scores, chosen = edited(((0, 0), (1, 2)), other=False)
    table = lower_tables.contrasts(scores, chosen, (0, 0), (1, 2), resamples=50)
    assert not table["what"].str.contains("other").any() and not table["minus"].str.contains("other").any()
    assert set(table["what"]) == {
        "unedited",
        "average 0-0",
        "average 1-2",
        "average together 1-2",
        "confusion 0-0",
        "confusion 1-2",
    }


def test_wording_without_colours_against_the_unedited_rate() -> None:
    _, scores, chosen = edited(drained="average together")
    written = {"p00": ("a dog", "a Black-and-White photo"), "p01": ("a black dog and a white cat",)}
    table = lower_tables.wording(scores, written, chosen, resamples=300)
    plain, confused = table.iloc[0], table[table["curve"] == "confusion"]
    assert (plain["share"], plain["difference"], plain["gained"], plain["lost"]) == (1 / 40, 0, 0, 0)
    assert (confused["share"] == 0).all() and (confused["lost"] == 1).all()
    assert confused["high"].gt(0.05).all(), "none of 40 is not never"
    reference = binomtest(0, 40).proportion_ci(0.95, "wilson")
    assert confused["high"].iloc[0] == pytest.approx(reference.high)
    together = table[table["curve"] == "average together"].iloc[0]
    said = scores[(scores["metric"] == "colourless") & (scores["variant"] == "average together 11-20")]
    reference = binomtest(int(said["value"].sum()), 40).proportion_ci(0.95, "wilson")
    assert (together["low"], together["high"]) == pytest.approx((reference.low, reference.high))
    assert together["difference_low"] > 0
    assert together["gained"] - together["lost"] == round(together["difference"] * 40)
    assert (table["colourless"] == 1).all() and (table["pictures"] == 40).all()


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (SPANS, {0, 5, 10, 15, 20}),
        (((0, 0), (1, 2)), {0, 1, 2}),
        (((2, 3), (4, 9)), {2, 3, 6, 9}),
    ],
)
def test_telling_points_follow_from_the_ranges(
    spans: tuple[lower.Range, lower.Range], expected: set[int]
) -> None:
    shown = lower_tables.telling(lower.points(*spans), *spans)
    for curve in ("average", "confusion"):
        assert {point.first for point in shown if point.curve == curve} == expected
    assert {point.curve for point in shown if len(point.layers) > 1} == {
        "average together",
        "other average together",
    }
    assert not any(point.curve == "other average" for point in shown)


def test_cases_keep_the_pictures_order_and_say_what_each_edit_says() -> None:
    captions, scores, chosen = edited()
    shown = lower_tables.telling(chosen, *SPANS)
    table = lower_tables.cases(captions, scores, shown, ["p07", "p02"])
    assert table["image_id"].drop_duplicates().tolist() == ["p07", "p02"]
    assert table["curve"].iloc[0] == "unedited" and len(table) == 2 * (1 + len(shown))
    said = captions.set_index(["image_id", "variant"])["caption"]
    row = table[(table["image_id"] == "p02") & (table["curve"] == "average") & (table["first"] == 5)].iloc[0]
    assert row["caption"] == said["p02", "average 5"]
    assert row["bertscore"] == (1.0 if row["exact"] else 0.3)


def test_pictures_that_are_averaged_instead_are_left_out() -> None:
    captions, scores, chosen = edited()
    shown = lower_tables.telling(chosen, *SPANS)
    table = lower_tables.cases(captions, scores, shown, ["averaged", "p02"])
    assert set(table["image_id"]) == {"p02"}
    with pytest.raises(VitpeelError, match=r"figures\.appendix_a: none of averaged, gone has captions"):
        lower_tables.cases(captions, scores, shown, ["averaged", "gone"])


def test_the_order_of_scores_changes_nothing() -> None:
    captions, scores, chosen = edited()
    mixed = scores.sample(frac=1, random_state=2)
    for make in (
        lambda rows: lower_tables.contrasts(rows, chosen, *SPANS, resamples=50),
        lambda rows: lower_tables.wording(rows, {}, chosen, resamples=50),
        lambda rows: lower_tables.cases(captions, rows, chosen[:3], ["p01"]),
    ):
        pd.testing.assert_frame_equal(make(mixed), make(scores))
