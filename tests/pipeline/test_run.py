"""A whole run of the real Snakefile: what it makes, that it is right, and that a second one does nothing."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from PIL import Image
from project import BLOCKS, PICTURES, Project

from vitpeel.config import Decoding
from vitpeel.tables import CAPTIONS, SCORES, SUMMARY, read_table
from vitpeel.tables import PICTURES as LISTED

MADE = (
    "datasets/mine/files.parquet",
    "datasets/mine/pictures.parquet",
    "datasets/mine/skipped.csv",
    *(
        f"activations/mine/{kind}-{k}-of-3.safetensors"
        for kind in ("residuals", "attention")
        for k in range(3)
    ),
    *(f"captions/mine/layers-{k}-of-3.parquet" for k in range(3)),
    "captions/mine/layers.parquet",
    "scores/mine/references.parquet",
    "scores/mine/bertscore.parquet",
    "tables/mine/summary.parquet",
    "tables/mine/summary.csv",
    "tables/fig1.csv",
    "tables/fig1-heatmaps.csv",
    "tables/fig3.csv",
    "figures/fig1.pdf",
    "figures/fig1.png",
    "figures/fig3.pdf",
    "figures/fig3.png",
)


def test_exactly_these_files(finished: Project) -> None:
    results = finished / "results/test"
    found = {str(p.relative_to(results)) for p in results.rglob("*") if p.is_file()}
    aside = {file for file in found if file.startswith(("logs/", "benchmarks/"))}
    assert found - aside == set(MADE)
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


def test_figures_are_pictures(finished: Project) -> None:
    for figure, pages in (("fig1", 2), ("fig3", 1)):
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


def test_figures_do_not_import_torch(again: Project) -> None:
    with (again / "scripts/draw_fig3.py").open("a") as script:
        script.write("import sys\nassert not {'torch', 'transformers'} & set(sys.modules)\n")
    with (again / "scripts/fig3_table.py").open("a") as script:
        script.write("import sys\nassert not {'torch', 'transformers'} & set(sys.modules)\n")
    assert again.run("fig3") == {"fig3_table", "draw_fig3"}


def test_a_report_without_a_network(again: Project) -> None:
    assert again.snakemake("--report", "report.html").returncode == 0
    page = (again / "report.html").read_text()
    assert all(text in page for text in ("fig1.png", "fig3.png", "Layer by layer"))


def test_one_shard_without_a_cache_gives_the_same_tables(again: Project) -> None:
    again.set(run="whole", compute__shards=1, compute__cache_residuals=False)
    again.run()
    assert not list((again / "results/whole").rglob("residuals*"))
    same = [file for file in MADE if "-of-" not in file]
    for file in same:
        if file.startswith(("captions", "scores", "tables")):
            one, three = (again / f"results/{run}/{file}" for run in ("whole", "test"))
            assert one.read_bytes() == three.read_bytes(), file


def test_lint(finished: Project) -> None:
    done: subprocess.CompletedProcess[str] = finished.snakemake("--lint")
    assert done.returncode == 0, done.stdout + done.stderr
