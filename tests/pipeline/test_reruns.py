"""What runs again after a change: what depends on it, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from project import Project

MODEL = {"capture", "caption_layers", "merge_captions"}
REFERENCES = {"score_references", "summarise", "fig3_table", "draw_fig3"}
AFTER_CAPTIONS = {*REFERENCES, "score_bertscore", "fig1_table", "draw_fig1"}


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
        ("trunk.py", {*MODEL, *AFTER_CAPTIONS}),
        ("decoding.py", {"caption_layers", "merge_captions", *AFTER_CAPTIONS}),
        ("scores/bertscore.py", {"score_bertscore", "summarise", "fig3_table", "draw_fig3"}),
        ("scores/bootstrap.py", {"summarise", "fig3_table", "draw_fig3"}),
        ("plots/fig1.py", {"draw_fig1"}),
        ("plots/style.py", {"draw_fig1", "draw_fig3"}),
        ("figure_tables.py", {"fig1_table", "draw_fig1", "fig3_table", "draw_fig3"}),
        ("config.py", set()),
        ("logs.py", set()),
    ],
)
def test_an_edited_module(module: str, rules: set[str], again: Project) -> None:
    edit(again / f"src/vitpeel/{module}")
    assert again.run("-n") == rules


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"model__prompt": "what is this"}, {"caption_layers", "merge_captions", *AFTER_CAPTIONS}),
        ({"model__decoding__beams": 1}, {"caption_layers", "merge_captions", *AFTER_CAPTIONS}),
        ({"model__readout": "none"}, {"caption_layers", "merge_captions", *AFTER_CAPTIONS}),
        ({"scores__bootstrap__resamples": 500}, {"summarise", "fig3_table", "draw_fig3"}),
        ({"scores__bertscore__layer": 2}, {"score_bertscore", "summarise", "fig3_table", "draw_fig3"}),
        ({"figures__fig1__layers": [1]}, {"fig1_table", "draw_fig1"}),
        ({"figures__fig3__layers": [0, 2]}, {"draw_fig3"}),
        ({"compute__threads": 2}, set()),
        ({"figures__fig3__metric": "rougeL"}, {"fig3_table", "draw_fig3"}),
    ],
)
def test_a_changed_setting(change: dict[str, object], rules: set[str], again: Project) -> None:
    again.set(**change)
    assert again.run("-n") == rules


def test_a_new_prompt_decodes_from_the_cache(again: Project) -> None:
    cached = again / "results/test/activations/mine/residuals-0-of-3.safetensors"
    before = cached.stat().st_mtime_ns
    old = (again / "results/test/captions/mine/layers.parquet").read_bytes()
    again.set(model__prompt="what is this")
    ran = again.run("results/test/captions/mine/layers.parquet")
    assert ran == {"caption_layers", "merge_captions"}
    assert cached.stat().st_mtime_ns == before
    assert (again / "results/test/captions/mine/layers.parquet").read_bytes() != old


def test_an_edited_caption_reruns_the_scores_alone(again: Project) -> None:
    edit(again / "pictures/captions.csv", "a,a black dog")
    assert again.run("-n") == {"add_references", *REFERENCES, "draw_fig1"}


def test_a_replaced_picture_reruns_the_model(again: Project) -> None:
    shutil.copy(again / "pictures/a.png", again / "pictures/b.png")
    assert again.run("-n") == {"index_pictures", "add_references", *MODEL, *AFTER_CAPTIONS}


def test_another_checkpoint_reruns_the_model(again: Project) -> None:
    weights = again / "checkpoint/model.safetensors"
    os.utime(weights, (weights.stat().st_mtime + 2,) * 2)  # copied again: the same bytes
    assert again.run("-n") == set()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert again.run("-n") == {*MODEL, *AFTER_CAPTIONS}
