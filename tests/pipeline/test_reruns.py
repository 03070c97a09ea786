"""What runs again after a change: what depends on it, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from project import Project

from vitpeel.tables import CAPTIONS, PICTURES, read_table

SUMMARY = {"summarise", "fig3_table", "draw_fig3"}
FIG3 = {"plateau_table", "fig3_table", "draw_fig3"}
PAGES = {"page_table", "draw_page"}
FLOW = {"decompose", "merge_dataflow", "dataflow_table", "draw_dataflow"}
CHANGES = {"measure_changes", "perspectives_table", "draw_perspectives"}
HEATMAPS = {"read_heatmaps", *PAGES, *CHANGES, "outliers_table", "draw_outliers", "fig6_table", "draw_fig6"}
LOWER_TABLES = {"fig2_table", "draw_fig2", "appendix_a_table", "draw_appendix_a"}
LOWER = {"caption_lower", "merge_captions", "compare_lower", *LOWER_TABLES}
JUDGE = {"judge_captions", "fig5_table", "draw_fig5", "appendix_c_table", "draw_appendix_c"}
PROMPT = {"fig4_prompt", "draw_fig4"}
SINGLE = {
    *{"caption_single", "merge_captions", "fig6_table", "draw_fig6"},
    *{"appendix_d_table", "draw_appendix_d"},
}
TABLE1 = {"evaluate_pruning", "draw_table1"}
PRUNED = {"caption_pruned", "merge_captions", *TABLE1}
PRUNING = {"caption_heads", "score_heads", *PRUNED}
REFERENCES = {"score_references", *SUMMARY, "plateau_table"}
SIMILAR = {"score_bertscore", *SUMMARY}
CHANGE = {"score_change", *CHANGES}
# What reads the captions of all layers, and what captions anything.
AFTER_LAYERS = {*REFERENCES, *SIMILAR, *PAGES, *CHANGE, *JUDGE, *PROMPT, *TABLE1}
CAPTIONED = {"caption_layers", *AFTER_LAYERS, *LOWER, *SINGLE, *PRUNING}
MODEL = {"capture", "sum_means", *FLOW, *HEATMAPS, *CAPTIONED}
# The second study: what hangs on the heads' contributions, on their texts, on their labels.
CLIP_SCORED = {"clip_scores_table", "draw_clip_table"}
CLIP_ASKED = {"analyse_clip", "draw_clip_neighbours", "draw_clip_maps"}
CLIP_LABELLED = {
    "label_heads",
    "clip_heads_table",
    "draw_clip_heads",
    "index_clip",
    *CLIP_SCORED,
    *CLIP_ASKED,
}
CLIP_TEXTS = {"find_texts", *CLIP_LABELLED}
CLIP = {"capture_clip", *CLIP_TEXTS}
SHOWS_TRENDS = {*FIG3, *LOWER_TABLES, "fig5_table", "draw_fig5", *TABLE1, "outliers_table", "draw_outliers"}
DRAWINGS = {
    *(f"draw_fig{number}" for number in range(2, 7)),
    *(f"draw_{name}" for name in ("page", "dataflow", "outliers", "perspectives", "table1")),
    *(f"draw_appendix_{letter}" for letter in "acd"),
    *(f"draw_clip_{name}" for name in ("heads", "table", "neighbours", "maps")),
}


def edit(path: Path, comment: str = "# edited") -> None:
    path.write_text(path.read_text() + f"\n{comment}\n")
    later = path.stat().st_mtime + 2
    os.utime(path, (later, later))


def test_an_edited_plot_only_redraws_even_without_activations(again: Project) -> None:
    edit(again / "src/vitpeel/plots/fig3.py")
    shutil.rmtree(again / "results/test/activations")
    before = (again / "results/test/figures/fig3.png").stat().st_mtime_ns
    assert again.run("fig3") == {"draw_fig3"}
    assert (again / "results/test/figures/fig3.png").stat().st_mtime_ns > before
    assert again.run() == set()
    assert not (again / "results/test/activations").exists()


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("trunk.py", {*MODEL, *CLIP}),
        ("edits.py", {*MODEL, *CLIP}),
        ("decoding.py", CAPTIONED),
        ("means.py", {"sum_means", *LOWER}),
        ("dataflow.py", {*FLOW, *CHANGES, *CLIP}),
        ("lower.py", LOWER),
        ("lower_tables.py", LOWER_TABLES),
        ("heads.py", SINGLE),
        ("pruning.py", PRUNING),
        ("pruning_tables.py", TABLE1),
        ("judge/rubric.py", {*JUDGE, *PROMPT}),
        ("scores/bertscore.py", {*SIMILAR, *CHANGE, *LOWER_TABLES, "compare_lower", "score_heads", *PRUNED}),
        ("scores/references.py", {*REFERENCES, *CHANGE, *TABLE1}),
        ("scores/change.py", CHANGE),
        ("scores/plateau.py", {"plateau_table", "draw_fig3"}),
        ("clip/textspan.py", CLIP_TEXTS),
        ("clip/labels.py", CLIP_LABELLED),
        ("clip/chance.py", CLIP_SCORED),
        ("clip/segmentation.py", CLIP_ASKED),
        ("plots/clip_heads.py", {"draw_clip_heads"}),
        ("plots/fig1.py", {"draw_page"}),
        ("plots/fig2.py", {"draw_fig2"}),
        ("plots/fig5.py", {"draw_fig5"}),
        ("plots/table1.py", {"draw_table1"}),
        ("plots/style.py", DRAWINGS),
        ("figure_tables.py", {*PAGES, "fig3_table", "draw_fig3"}),
    ],
)
def test_an_edited_module(module: str, rules: set[str], again: Project) -> None:
    edit(again / f"src/vitpeel/{module}")
    assert again.run("-n") == rules


def test_modules_and_settings_that_change_no_result_rerun_nothing(again: Project) -> None:
    for module in ("config/__init__.py", "logs.py", "downloads.py"):
        edit(again / f"src/vitpeel/{module}")
    again.set(judge__openai__cap=1.0, clip__labels__openai__cap=1.0, compute__threads=2)
    assert again.run("-n") == set()


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"model__prompt": "what is this"}, CAPTIONED),
        ({"model__decoding__beams": 1}, CAPTIONED),
        ({"model__readout": "none"}, CAPTIONED),
        (
            {"scores__bootstrap__resamples": 500},
            {
                *SHOWS_TRENDS,
                *SUMMARY,
                "dataflow_table",
                "draw_dataflow",
                "perspectives_table",
                "draw_perspectives",
                *CLIP_SCORED,
            },
        ),
        (
            {"scores__bertscore__layer": 2},
            {*SIMILAR, *CHANGE, *LOWER_TABLES, "compare_lower", "score_heads", *PRUNED},
        ),
        ({"perspectives__token": 1}, {*FLOW, *CHANGES}),
        ({"perspectives__heatmap": "rollout"}, {*FLOW, *CHANGES}),
        ({"perspectives__outliers__k": 3.0}, HEATMAPS),
        ({"perspectives__language": ["bleu4"]}, CHANGE),
        ({"lower__confusion": "stream"}, LOWER),
        ({"lower__other": None}, LOWER),
        ({"lower__place": "output"}, {"sum_means", *LOWER}),
        ({"lower__means_from": "half"}, {"choose_pictures", "sum_means", *LOWER}),
        ({"lower__baseline": "measured"}, {"compare_lower", *LOWER_TABLES}),
        ({"judge__layers": [1, 2]}, {*JUDGE, *PROMPT}),
        ({"heads__reading": "bare"}, SINGLE),
        ({"pruning__temperature": 0.1}, {"score_heads", *PRUNED}),
        ({"pruning__random_draws": 2}, PRUNED),
        ({"pruning__sample": 4}, {"choose_pictures", *PRUNING}),
        ({"pruning__order": "greedy"}, {"caption_heads_greedily", "score_heads", *PRUNED}),
        ({"pruning__convergence__rule": "bertscore"}, TABLE1),
        ({"figures__fig1__layers": [1]}, PAGES),
        ({"figures__fig3__layers": [0, 2]}, {"draw_fig3"}),
        ({"figures__fig3__metric": "rougeL"}, FIG3),
        ({"figures__fig6__layer": 1}, SINGLE),
        ({"clip__texts": 2}, CLIP_TEXTS),
        ({"clip__least": 2}, CLIP_SCORED),
        ({"clip__analyses__neighbours": 1}, CLIP_ASKED),
    ],
)
def test_a_changed_setting(change: dict[str, object], rules: set[str], again: Project) -> None:
    again.set(**change)
    assert again.run("-n") == rules


def test_half_is_averaged_and_the_other_captioned_without_a_cache_or_a_green_curve(again: Project) -> None:
    again.set(lower__means_from="half", lower__other=None, compute__cache_residuals=False)
    assert {"sum_means", "caption_lower", "compare_lower", "fig2_table"} <= again.run("fig2")
    folder = again / "results/test/datasets/mine/subsets"
    averaged, captioned = (
        set(read_table(folder / f"{part}.parquet", PICTURES)["image_id"])
        for part in ("averaged", "captioned")
    )
    assert averaged and captioned and not averaged & captioned
    said = read_table(again / "results/test/captions/mine/lower.parquet", CAPTIONS)
    assert set(said["image_id"]) == captioned
    assert not said["variant"].str.startswith("other").any()


def test_a_new_prompt_decodes_from_the_cache(again: Project) -> None:
    cached = again / "results/test/activations/mine/residuals-0-of-2.safetensors"
    before = cached.stat().st_mtime_ns
    old = (again / "results/test/captions/mine/layers.parquet").read_bytes()
    again.set(model__prompt="what is this")
    ran = again.run("results/test/captions/mine/layers.parquet")
    assert ran == {"caption_layers", "merge_captions"}
    assert cached.stat().st_mtime_ns == before
    assert (again / "results/test/captions/mine/layers.parquet").read_bytes() != old


def test_an_edited_caption_reruns_the_scores_alone(again: Project) -> None:
    edit(again / "pictures/captions.csv", "a,a black dog")
    assert again.run("-n") >= {"add_references", *REFERENCES, *JUDGE, *TABLE1, "draw_page"}
    assert not {"capture", "caption_layers", "caption_lower", "caption_heads"} & again.run("-n")


def test_a_replaced_picture_reruns_the_model(again: Project) -> None:
    shutil.copy(again / "pictures/a.png", again / "pictures/b.png")
    assert again.run("-n") >= {"index_pictures", "add_references", *MODEL}


def test_another_checkpoint_reruns_the_model(again: Project) -> None:
    weights = again / "checkpoint/model.safetensors"
    os.utime(weights, (weights.stat().st_mtime + 2,) * 2)  # copied again: the same bytes
    assert again.run("-n") == set()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert again.run("-n") == MODEL
