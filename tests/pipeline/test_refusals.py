"""Bad input from end to end: one line that says what to do, nothing half-made, the other work kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from project import Project
from safetensors.numpy import load_file, save_file


def refusal(project: Project, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
    done = project.snakemake(*arguments, prefix=prefix)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def results(project: Project) -> set[str]:
    there = project / "results"
    return {
        str(path.relative_to(there))
        for path in there.rglob("*")
        if path.is_file() and "logs" not in path.parts and "benchmarks" not in path.parts
    }


def test_a_faulty_configuration_is_refused_before_anything_else(untouched: Project) -> None:
    untouched.set(model__promt="x", figures__fig1__layers=[3], datasets__mine__path="picture")
    output = refusal(untouched)
    lines = [line for line in output.splitlines() if line.startswith("config/config.yaml: ")]
    assert [line.split(": ")[1] for line in lines] == [
        "datasets.mine.path",
        "model.promt",
        "figures.fig1.layers",
    ]
    assert "Did you mean model.prompt?" in lines[1]
    assert "Building DAG" not in output
    assert results(untouched) == set()


def test_another_configuration_stands_alone(untouched: Project) -> None:
    mine = untouched / "mine.yaml"
    mine.write_text("run: mine\n")
    output = refusal(untouched, "--configfile", "mine.yaml")
    assert "mine.yaml: model: this section is missing." in output


def test_a_checkpoint_without_weights(untouched: Project) -> None:
    (untouched / "checkpoint/model.safetensors").unlink()
    (untouched / "checkpoint/pytorch_model.bin").write_bytes(b"\x80\x04.")
    output = refusal(untouched)
    assert "model.checkpoint: checkpoint: no *.safetensors weights there (only pytorch_model.bin: " in output
    assert "Building DAG" not in output


def test_weights_of_another_shape(untouched: Project) -> None:
    weights = untouched / "checkpoint/model.safetensors"
    tensors = load_file(weights)
    name = "vision_model.post_layernorm.weight"
    (whole,) = [key for key in tensors if key.endswith(name)]
    tensors[whole] = tensors[whole][:-1]
    save_file(tensors, weights, metadata={"format": "pt"})
    untouched.set(compute__shards=1, clip=None)
    output = refusal(untouched)
    log = (untouched / "results/test/logs/capture/mine-0-of-1.log").read_text()
    (line,) = [line for line in log.splitlines() if "ERROR" in line]
    message = line.split("ERROR ")[1]
    assert message.startswith("checkpoint: ") and name in message and "Traceback" not in log
    assert message in output
    assert {file.split("/")[1] for file in results(untouched)} == {"datasets"}  # the pictures' work is kept


def test_a_captions_file_with_an_unknown_picture(untouched: Project) -> None:
    with (untouched / "pictures/captions.csv").open("a") as file:
        file.write("z,a zebra\n")
    output = refusal(untouched, "results/test/datasets/mine/pictures.parquet")
    assert "pictures/captions.csv: line 16: no picture for image_id 'z'." in output
    assert results(untouched) == {"test/datasets/mine/files.parquet", "test/datasets/mine/skipped.csv"}


def test_no_picture_can_be_used(untouched: Project) -> None:
    for picture in (untouched / "pictures").glob("*.png"):
        picture.write_bytes(picture.read_bytes()[:60])
    output = refusal(untouched, "results/test/datasets/mine/pictures.parquet")
    assert "pictures: none of its 8 pictures can be used. The first: pictures/a.png: " in output
    assert results(untouched) == set()


@pytest.mark.needs("setpriv")
def test_a_read_only_results_folder(untouched: Project) -> None:
    (untouched / "results").mkdir()
    (untouched / "results").chmod(0o555)
    # root is stopped by permissions only without this capability; others can spare it
    prefix = ("setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override") if _root() else ()
    for _ in range(2):  # it leaves no lock behind
        output = refusal(untouched, prefix=prefix)
        assert (
            "results: read-only, results would go to results/test. Make it writable (`chmod u+w res" in output
        )
    (untouched / "results").chmod(0o755)
    assert results(untouched) == set()


def test_without_references_what_needs_them_is_left_out(again: Project) -> None:
    again.set(datasets__mine__captions=None)
    done = again.snakemake("-n")
    said = done.stdout + done.stderr
    assert "left out: fig3. Figure 3 shows cider, which needs references, and datasets.mine.captions" in said
    assert "left out: table1. " in said and "left out: fig5, appendix_c. " in said
    planned = again.run("-n")
    assert {"add_references", "summarise", "draw_page"} <= planned
    assert not {"score_references", "draw_fig3", "draw_table1", "draw_fig5"} & planned
    assert again.run("results/test/tables/mine/summary.csv") >= {"summarise"}
    assert "cider" not in (again / "results/test/tables/mine/summary.csv").read_text()
    output = refusal(again, "fig3")
    assert "Figure 3 shows cider, which needs references, and datasets.mine.captions is null." in output
    again.set(figures__fig3__metric="bertscore")
    assert "draw_fig3" in again.run("-n", "fig3")


def test_a_cache_of_another_checkpoint_is_refused_by_name(again: Project) -> None:
    path = again / "results/test/activations/mine/residuals-1-of-2.safetensors"
    forge(path)
    output = refusal(
        again, "--rerun-triggers", "code", "--forcerun", "caption_layers", "--until", "caption_layers"
    )
    assert f"{path.relative_to(again.root)}: made with checkpoint 000000000000" in output
    assert "Delete it (`rm results/test/activations/mine/residuals-1-of-2.safetensors`)" in output


def forge(path: Path) -> None:
    """Give a safetensors file the provenance of another checkpoint."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    made = json.loads(header["__metadata__"]["vitpeel"])
    header["__metadata__"]["vitpeel"] = json.dumps({**made, "checkpoint": "0" * 64})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def _root() -> bool:
    return os.geteuid() == 0
