"""The real LAVIS, in its real environment, on tiny checkpoints of both kinds: it computes and says the same.

The environment is built once, from the package registry.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import tiny
from project import BLOCKS, IGNORED, PICTURES, Project, make

from vitpeel.tables import CAPTIONS, origin_of, read_table

pytestmark = pytest.mark.needs("uv")

PARITY = {"lavis_environment", "index_pictures", "choose_pictures", "compare_engines", "parity"}
PARTS = ["vit", "ln_vision", "qformer", "projection", "logits"]
LAYERS = "results/test/captions/mine/layers.parquet"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with both checkpoints and LAVIS's environment, compared once. Not to be changed."""
    project = make(tmp_path_factory.mktemp("compared"))
    tiny.save(project / "blip2", tiny.blip2_config(blocks=BLOCKS), seed=3)
    tiny.save(project / "instructblip", tiny.config(blocks=BLOCKS), seed=3)
    project.set(model__checkpoint="instructblip", model__decoding__max_new_tokens=24, compute__shards=1)
    assert "lavis_environment" not in project.run("-n")  # `snakemake` alone needs no second environment
    assert project.run("parity") == PARITY
    return project


@pytest.fixture
def project(compared: Project, tmp_path: Path) -> Project:
    """A copy to change; the environment is shared."""
    place = tmp_path / "project"
    shutil.copytree(compared.root, place, ignore=lambda *names: {".venvs", *IGNORED(*names)})
    (place / ".venvs").symlink_to(compared / ".venvs")
    return Project(place)


def test_instructblip(compared: Project) -> None:
    check(pd.read_csv(compared / "results/test/tables/parity.csv"))
    assert compared.run("parity") == set()


def test_blip2(project: Project) -> None:
    project.set(run="blip2", model__kind="blip2", model__checkpoint="blip2")
    assert project.run("parity") == PARITY - {"lavis_environment"}
    check(pd.read_csv(project / "results/blip2/tables/parity.csv"))


def test_every_greedy_caption_of_blip2(project: Project) -> None:
    """Of InstructBLIP: `test_the_layers_captioned_by_lavis`."""
    project.set(run="blip2", model__kind="blip2", model__checkpoint="blip2", model__decoding__beams=1)
    project.set(parity__pictures=len(PICTURES))
    project.run("parity")
    found = pd.read_csv(project / "results/blip2/tables/parity.csv")
    check(found)
    assert (found["cut"] == 0).all() and (found["pictures"] == len(PICTURES)).all()


def check(found: pd.DataFrame) -> None:
    assert found["part"].tolist() == [
        *("prompt", "pixels"),
        *(part for part in (*PARTS, "caption") for _ in range(BLOCKS)),
    ]
    assert found["agrees"].all() and (found["different"] == 0).all()
    assert found[found["part"] == "pixels"]["max_absolute"].item() == 0  # bit by bit
    assert found["max_absolute"].max() <= 1e-4 and found["max_relative"].max() <= 1e-4
    captions = found[found["part"] == "caption"]
    assert captions["cut"].sum() < captions["pictures"].sum()


def test_the_layers_captioned_by_lavis(project: Project) -> None:
    """The same table from either engine, but for what made it; back and forth by the setting alone."""
    project.set(model__decoding__beams=1)
    assert {"caption_layers", "capture"} <= project.run(LAYERS)
    own = read_table(project / LAYERS, CAPTIONS)
    project.set(model__engine="lavis")
    assert project.run(LAYERS) == {"caption_layers_lavis", "merge_captions"}
    pd.testing.assert_frame_equal(read_table(project / LAYERS, CAPTIONS), own)
    assert own["caption"].nunique() > BLOCKS
    assert '"engine":"lavis"' in str(origin_of(project / LAYERS).config)
    assert project.run("-n", LAYERS) == set()
    project.set(model__engine="vitpeel")
    assert project.run("-n", LAYERS) == {"caption_layers", "merge_captions"}


def test_a_difference_above_the_tolerance_is_refused_and_tabled(project: Project) -> None:
    project.set(parity__tolerance=1e-9)
    done = project.snakemake("parity")
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert "parity: vitpeel and LAVIS do not agree in " in output and ", more than 1e-09." in output
    assert "Traceback (most recent call last)" not in output
    assert not pd.read_csv(project / "results/test/tables/parity.csv")["agrees"].all()


def test_a_weight_in_the_wrong_place_is_found(project: Project) -> None:
    weights = project / "src/vitpeel/lavis/inside/weights.py"
    text = weights.read_text()
    assert text.count("query, _, values = value.chunk(3)") == 1
    weights.write_text(text.replace("query, _, values = value", "values, _, query = value"))
    done = project.snakemake("parity")
    assert done.returncode == 1
    assert "The first is vit of layer 0: " in done.stdout + done.stderr


def test_a_weight_without_a_place_is_named(project: Project) -> None:
    weights = project / "src/vitpeel/lavis/inside/weights.py"
    weights.write_text(weights.read_text().replace('"t5_proj."', '"projection."'))
    done = project.snakemake("parity")
    output = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback (most recent call last)" not in output
    assert "LAVIS: ValueError: " in output and "without a place in LAVIS: ['projection.bias'" in output
