"""A whole run of the real Snakefile: what it makes, that it is right, and that a second one does nothing."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from PIL import Image
from project import BLOCKS, OTHERS, PICTURES, SHARDS, Project
from published import transcription

from vitpeel.clip import contributions
from vitpeel.config import Decoding
from vitpeel.models import openclip
from vitpeel.scores import references
from vitpeel.tables import CAPTIONS, HEAD_LABELS, HEAD_TEXTS, SCORES, SUMMARY, read_table
from vitpeel.tables import PICTURES as LISTED

LISTS = ("files.parquet", "pictures.parquet", "skipped.csv")
PARTS = [f"{shard}-of-{SHARDS}" for shard in range(SHARDS)]
# Captioned, in shards and merged.
CAPTIONED = ("heads", "layers", "lower", "pruned", "single")
# Figure -> pages.
FIGURES = {
    **{"fig1": 2, "fig2": 1, "fig3": 1, "fig4": 1, "fig5": 1, "fig6": 2, "table1": 1},
    **{"dataflow": 1, "outliers": 1, "perspectives": 2},
    **{"appendix_a": 2, "appendix_b": 1, "appendix_c": 1, "appendix_d": 2},
}
CLIP_FIGURES = ("heads-tiny", "table1", "table2", "property", "topic", "contrast", "picture", "text")
MADE = {
    *(f"datasets/{name}/{file}" for name in ("mine", "others") for file in LISTS),
    *(f"datasets/mine/subsets/{name}.parquet" for name in ("heads-shown", "pruning-rest", "pruning-sample")),
    "datasets/others/subsets/averaged-other.parquet",
    *(f"activations/mine/{kind}-{k}.safetensors" for kind in ("residuals", "attention") for k in PARTS),
    *(f"activations/mine/dataflow-{k}.parquet" for k in PARTS),
    "activations/mine/dataflow.parquet",
    "activations/mine/heatmaps.safetensors",
    *(f"means/{name}/sums-{k}.safetensors" for name in ("mine", "others") for k in PARTS),
    *(f"captions/mine/{name}-{k}.parquet" for name in CAPTIONED for k in PARTS),
    *(f"captions/mine/{name}.parquet" for name in CAPTIONED),
    *(f"scores/mine/{name}.parquet" for name in ("references", "bertscore", "change", "changes")),
    *(f"scores/mine/{name}.parquet" for name in ("lower", "judge", "heads", "pruned")),
    "scores/mine/lower-baseline.csv",
    *(f"tables/mine/{file}" for file in ("summary.parquet", "summary.csv", "pruning.parquet")),
    *(f"tables/{figure}.csv" for figure in FIGURES if figure != "fig4"),
    *(f"tables/{figure}-heatmaps.csv" for figure in ("fig1", "fig6", "appendix_b")),
    *("tables/fig2-contrasts.csv", "tables/plateau.csv", "tables/fig4.txt", "tables/fig5-trends.csv"),
    *("tables/perspectives-correlations.csv", "tables/perspectives-maps.csv", "tables/outliers-maps.csv"),
    *("tables/table1-heads.csv", "tables/appendix_a-wording.csv", "tables/appendix_d-masks.csv"),
    *(f"figures/{figure}.{kind}" for figure in FIGURES for kind in ("pdf", "png")),
    "datasets/mine/subsets/clip-asked.parquet",
    *(f"clip/tiny/{kind}-{k}.safetensors" for kind in ("heads", "moments") for k in PARTS),
    *(f"clip/tiny/{file}" for file in ("texts.parquet", "labels.parquet")),
    *(f"clip/tiny/{file}.safetensors" for file in ("index", "maps")),
    *(f"tables/clip-{name}.csv" for name in ("heads-tiny", "scores", "neighbours", "maps")),
    *(f"figures/clip-{figure}.{kind}" for figure in CLIP_FIGURES for kind in ("pdf", "png")),
}


def test_exactly_these_files(finished: Project) -> None:
    results = finished / "results/test"
    found = {str(p.relative_to(results)) for p in results.rglob("*") if p.is_file()}
    aside = {file for file in found if file.startswith(("logs/", "benchmarks/"))}
    assert found - aside == MADE
    logs = {file[5:].removesuffix(".log") for file in aside if file.startswith("logs/")}
    assert logs == {file[11:].removesuffix(".tsv") for file in aside if file.startswith("benchmarks/")}


def test_every_log_says_that_its_job_ended(finished: Project) -> None:
    logs = list((finished / "results/test/logs").rglob("*.log"))
    assert logs
    for log in logs:
        assert " done in " in log.read_text(), log


def test_pictures_with_their_references_and_the_broken_one_aside(finished: Project) -> None:
    table = read_table(finished / "results/test/datasets/mine/pictures.parquet", LISTED)
    assert "".join(table["image_id"]) == PICTURES
    assert list(table["references"][0]) == ["a giraffe on a beach", "a zebra on a desert"]
    skipped = pd.read_csv(finished / "results/test/datasets/mine/skipped.csv")
    assert skipped["path"].tolist() == ["pictures/broken.jpg"]
    assert "broken.jpg" in (finished / "results/test/logs/index_pictures/mine.log").read_text()


def test_the_last_layer_says_what_the_checkpoint_itself_says(finished: Project) -> None:
    from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

    folder = finished / "checkpoint"
    checkpoint: Any = InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
    tools: Any = InstructBlipProcessor.from_pretrained(folder, backend="pil")
    images = [Image.open(finished / f"pictures/{name}.png") for name in PICTURES]
    pixels = tools.image_processor(images=images, return_tensors="pt")["pixel_values"]
    expected = tiny.generate(checkpoint, tools, pixels, Decoding(max_new_tokens=8))
    captions = read_table(finished / "results/test/captions/mine/layers.parquet", CAPTIONS)
    assert captions[captions["layer"] == BLOCKS - 1]["caption"].tolist() == expected
    assert len(captions) == len(PICTURES) * BLOCKS


def test_scores_and_summary_agree(finished: Project) -> None:
    scores = read_table(finished / "results/test/scores/mine/references.parquet", SCORES)
    summary = read_table(finished / "results/test/tables/mine/summary.parquet", SUMMARY)
    assert set(summary["metric"]) == {"cider", "bleu4", "bleu4_sentence", "rougeL", "bertscore"}
    for metric in ("cider", "rougeL"):
        means = scores[scores["metric"] == metric].groupby("layer")["value"].mean()
        own = summary[summary["metric"] == metric].set_index("layer")
        np.testing.assert_allclose(own["mean"].sort_index(), means)
        assert (own["low"] <= own["mean"]).all() and (own["mean"] <= own["high"]).all()
    last = summary[(summary["metric"] == "bertscore") & (summary["layer"] == BLOCKS - 1)]
    assert last["mean"].item() <= 1.0 and summary["pictures"].eq(len(PICTURES)).all()
    drawn = pd.read_csv(finished / "results/test/tables/fig3.csv")
    cider = summary[summary["metric"] == "cider"].reset_index(drop=True)
    assert drawn["mean"].tolist() == pytest.approx(cider["mean"].tolist(), rel=1e-5)


def test_the_heads_of_a_clip_have_texts_labels_and_neighbours_that_the_library_finds(
    finished: Project,
) -> None:
    results = finished / "results/test"
    clip = openclip.load(finished / "clip", device="cpu")
    pictures = [Image.open(finished / f"others/{name}.png").convert("RGB") for name in OTHERS]
    texts = (finished / "descriptions.txt").read_text().splitlines()
    with torch.inference_mode():
        terms = contributions.terms(clip, clip.preprocess(pictures))
        words = clip.texts(texts)
    maps, picks = read_table(results / "clip/tiny/texts.parquet", HEAD_TEXTS), 3
    assert len(maps) == 2 * clip.trunk.heads * picks
    heads = terms.heads[:, 1:].double().numpy()  # of the last two layers
    for (layer, head), own in maps.groupby(["layer", "head"]):
        found, _ = transcription(heads[:, layer - 1, head], words.double().numpy(), 1, len(OTHERS))
        assert own["text"].iloc[0] == texts[found[0]]
    labels = read_table(results / "clip/tiny/labels.parquet", HEAD_LABELS).set_index(["layer", "head"])
    assert labels.loc[(2, 0), "label"] == labels.loc[(1, 3), "label"] == "animals"
    assert (labels["source"] == "human").sum() == 2
    nearest = pd.read_csv(results / "tables/clip-neighbours.csv")
    asked = nearest[nearest["analysis"] == "text"]
    (dog,) = clip.texts(["a dog"]).double().numpy()
    cosines = heads[:, 0, 5] @ dog / np.linalg.norm(heads[:, 0, 5], axis=1)
    best = [OTHERS[at] for at in np.argsort(-cosines)[:2]]
    assert asked["image_id"].tolist() == best
    assert asked["score"].tolist() == pytest.approx(sorted(cosines)[::-1][:2], abs=1e-4)


def test_figures_are_pictures(finished: Project) -> None:
    for figure, pages in {**FIGURES, **{f"clip-{name}": 1 for name in CLIP_FIGURES}}.items():
        image = Image.open(finished / f"results/test/figures/{figure}.png")
        assert image.width > 1000 and round(image.info["dpi"][0]) == 200
        pdf = (finished / f"results/test/figures/{figure}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page ") == pages


def test_a_second_run_has_nothing_to_do(again: Project) -> None:
    started = time.monotonic()
    assert again.run() == set()
    assert time.monotonic() - started < 60  # 10 s on a machine of one's own: see benchmarks/


def test_snakemake_does_not_import_torch(again: Project) -> None:
    found = again.snakemake("-n", prefix=("env", "PYTHONPROFILEIMPORTTIME=1"))
    assert found.returncode == 0
    imported = {line.split("|")[-1].strip() for line in found.stderr.splitlines() if "import time:" in line}
    assert "vitpeel.config" in imported
    assert not {"torch", "transformers", "matplotlib"} & imported


def test_tables_and_figures_do_not_import_torch(again: Project) -> None:
    scripts = [*(again / "scripts").glob("draw_*.py"), *(again / "scripts").glob("*_table.py")]
    for script in scripts:
        with script.open("a") as file:
            file.write("import sys\nassert not {'torch', 'transformers'} & set(sys.modules)\n")
    assert again.run() >= {script.stem for script in scripts}


def test_an_edited_caption_is_what_the_checkpoint_says_with_hooks(finished: Project) -> None:
    """ "average 1" of Figure 2: the attention of block 1 reads the mean of what it reads."""
    from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

    folder = finished / "checkpoint"
    checkpoint: Any = InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
    tools: Any = InstructBlipProcessor.from_pretrained(folder, backend="pil")
    images = [Image.open(finished / f"pictures/{name}.png") for name in PICTURES]
    pixels = tools.image_processor(images=images, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        mean = checkpoint.vision_model(pixels, output_hidden_states=True).hidden_states[1].mean(0)
    norm = checkpoint.vision_model.encoder.layers[1].layer_norm1
    norm.register_forward_pre_hook(lambda module, inputs: (mean.expand_as(inputs[0]),))
    expected = tiny.generate(checkpoint, tools, pixels, Decoding(max_new_tokens=8))
    captions = read_table(finished / "results/test/captions/mine/lower.parquet", CAPTIONS)
    assert captions[captions["variant"] == "average 1"]["caption"].tolist() == expected
    unedited = captions[captions["variant"] == "unedited"]["caption"].tolist()
    assert expected != unedited  # the edit does something


def test_figure_2_is_made_of_its_scores(finished: Project) -> None:
    scores = read_table(finished / "results/test/scores/mine/lower.parquet", SCORES)
    means = scores[scores["metric"] == "bertscore"].groupby("variant")["value"].mean()
    drawn = pd.read_csv(finished / "results/test/tables/fig2.csv", keep_default_na=False)
    drawn = drawn[drawn["metric"] == "bertscore"]
    assert len(drawn) == len(means) == 1 + 1 + 2 + 1 + 2 + 1 + 3
    assert drawn["mean"].tolist()[0] == means["unedited"] == 1
    np.testing.assert_allclose(sorted(drawn["mean"]), sorted(means), rtol=1e-5)


def test_table_1_compares_what_was_not_sampled(finished: Project) -> None:
    subsets = finished / "results/test/datasets/mine/subsets"
    sample, rest = (
        set(read_table(subsets / f"pruning-{part}.parquet", LISTED)["image_id"])
        for part in ("sample", "rest")
    )
    assert not sample & rest and sample | rest == set(PICTURES)
    heads = read_table(finished / "results/test/captions/mine/heads.parquet", CAPTIONS)
    pruned = read_table(finished / "results/test/captions/mine/pruned.parquet", CAPTIONS)
    assert set(heads["image_id"]) == sample and set(pruned["image_id"]) == rest
    table = pd.read_csv(finished / "results/test/tables/table1.csv", keep_default_na=False)
    whole = read_table(finished / "results/test/captions/mine/layers.parquet", CAPTIONS)
    final = whole[(whole["layer"] == BLOCKS - 1) & whole["image_id"].isin(rest)]
    listed = read_table(finished / "results/test/datasets/mine/pictures.parquet", LISTED)
    written = {row.image_id: list(row.references) for row in listed.itertuples()}
    expected = references.score(final, written, ["cider"])
    cider = table[(table["metric"] == "cider") & (table["pruning"] == "unedited")]
    mean = expected[expected["metric"] == "cider"]["value"].mean()
    assert float(cider["value"].item()) == pytest.approx(mean, rel=1e-5)


def test_a_report_without_a_network(again: Project) -> None:
    assert again.snakemake("--report", "report.html").returncode == 0
    page = (again / "report.html").read_text()
    assert all(f"{figure}.png" in page for figure in FIGURES)


def test_one_shard_without_a_cache_gives_the_same_tables(again: Project) -> None:
    # what shards are merged into: scores, tables and figures are made of these
    merged = ("captions/", "activations/", "clip/")
    same = sorted(file for file in MADE if file.startswith(merged) and "-of-" not in file)
    again.set(run="whole", compute__shards=1, compute__cache_residuals=False)
    again.run(*(f"results/whole/{file}" for file in same))
    assert not list((again / "results/whole").rglob("residuals*"))
    for file in same:
        one, two = (again / f"results/{run}/{file}" for run in ("whole", "test"))
        assert one.read_bytes() == two.read_bytes(), file


def test_lint(finished: Project) -> None:
    done: subprocess.CompletedProcess[str] = finished.snakemake("--lint")
    assert done.returncode == 0, done.stdout + done.stderr
