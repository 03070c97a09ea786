"""What a run offers, read from its tables; a result that is not there is one line that says what to run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from vitpeel.app import cli, results
from vitpeel.app.results import Offer
from vitpeel.errors import ConfigError, InputError
from vitpeel.provenance import Provenance
from vitpeel.tables import HEAD_LABELS, HEAD_TEXTS, PICTURES, write_table

ROOT = Path(__file__).parents[3]
MADE = Provenance(config="{}")
LABELS = {(10, 0): "colors", (10, 1): "animals", (11, 0): "none", (11, 1): "Colors"}


def pictures(root: Path, dataset: str, names: list[str]) -> None:
    rows = {
        "image_id": names,
        "path": [f"somewhere/{name}.png" for name in names],
        "width": 64,
        "height": 64,
        "mode": "RGB",
        "references": [[] for _ in names],
        "note": "",
    }
    path = root / f"results/demo/datasets/{dataset}/files.parquet"
    write_table(path, pd.DataFrame(rows), PICTURES, MADE)


def study(root: Path, name: str) -> None:
    out = root / "results/demo/clip" / name
    out.mkdir(parents=True)
    (out / "index.safetensors").write_bytes(b"")
    rows = [(name, *place, label, "lexicon", 3, 5) for place, label in LABELS.items()]
    kinds = {"layer": "int16", "head": "int16", "matches": "Int16", "texts": "int16"}
    frame = pd.DataFrame(rows, columns=HEAD_LABELS.names).astype(kinds)
    write_table(out / "labels.parquet", frame, HEAD_LABELS, MADE)
    # the second text first: order is by rank
    texts = [(name, *place, rank, f"text {rank} of {place}", 0.1) for place in LABELS for rank in (2, 1)]
    frame = pd.DataFrame(texts, columns=HEAD_TEXTS.names)
    write_table(out / "texts.parquet", frame, HEAD_TEXTS, MADE)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configuration in a folder of its own, with tables of the run and no more."""
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(root: Path, **keys: object) -> None:
    path = root / "config/config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))


def read(root: Path) -> Offer:
    return results.read(cli.settings_of(root / "config/config.yaml"))


def test_everything_that_is_missing_says_what_to_run(root: Path) -> None:
    def refused() -> str:
        with pytest.raises(InputError, match=r"Run `snakemake clip_figures`") as refusal:
            read(root)
        return str(refusal.value)

    assert refused().startswith("results/demo/datasets/whoops/files.parquet: not there yet.")
    pictures(root, "whoops", ["unusual-000"])
    pictures(root, "imagenet", ["usual-000"])
    assert refused().startswith("results/demo/clip/clip-small/index.safetensors: not there yet.")


def test_the_command_says_it_in_a_line_and_not_in_a_traceback(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert isinstance(ended.value.code, str) and ended.value.code.count("\n") == 0
    with pytest.raises(SystemExit, match=r"nowhere\.yaml: cannot be read"):
        cli.main(["--configfile", "nowhere.yaml"])
    (root / "list.yaml").write_text("- a\n")
    with pytest.raises(SystemExit, match="no mapping of settings"):
        cli.main(["--configfile", "list.yaml"])
    (root / "broken.yaml").write_text("a: [")
    with pytest.raises(SystemExit, match="not YAML"):
        cli.main(["--configfile", "broken.yaml"])


def test_without_clip_models_only_the_pictures_are_needed(root: Path) -> None:
    change(root, clip=None)
    with pytest.raises(InputError, match=r"Run `snakemake fig1`"):
        read(root)
    pictures(root, "whoops", ["unusual-000"])
    offer = read(root)
    assert not offer.studies and not offer.candidates and offer.examples == ("unusual-000",)


def test_heads_come_with_their_labels_and_texts(root: Path) -> None:
    names = [f"unusual-{number:03d}" for number in range(60)]
    pictures(root, "whoops", names)
    pictures(root, "imagenet", ["usual-000"])
    study(root, "clip-small")
    study(root, "clip-large")
    offer = read(root)
    assert offer.candidates == {"usual-000": Path("somewhere/usual-000.png")}
    own = offer.studies["clip-small"]
    assert own.layers == [10, 11] and own.heads(11) == [0, 1]
    assert own.places == list(LABELS)
    assert {place: own.label(place) for place in own.places} == LABELS
    # one property however it is written; "none" is none
    assert dict(own.properties) == {"colors": ((10, 0), (11, 1)), "animals": ((10, 1),)}
    assert own.texts_of((10, 1)) == ["text 1 of (10, 1)", "text 2 of (10, 1)"]
    # those that the configuration names come first, and none comes twice
    settings = offer.settings
    assert settings.clip is not None
    assert offer.examples[0] == settings.clip.analyses.properties[0].picture
    assert len(offer.examples) == len(set(offer.examples)) == results.EXAMPLES


def test_the_foot_tells_the_demo_from_the_papers_checkpoint(root: Path) -> None:
    pictures(root, "whoops", ["unusual-000"])
    change(root, clip=None)
    offer = read(root)
    assert offer.source(Path("resources/demo/captioner"), 1).embedded
    assert not offer.source(Path(".cache/checkpoints/instructblip"), 1).embedded


def test_a_faulty_configuration_is_refused_by_line(root: Path) -> None:
    change(root, main="nothing")
    with pytest.raises(ConfigError, match=r"config/config\.yaml: main"):
        read(root)
