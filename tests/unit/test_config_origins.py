"""Where pictures and checkpoints come from: what the configuration allows, before anything is downloaded."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from vitpeel.config import Settings, load
from vitpeel.errors import ConfigError

PAPER = yaml.safe_load((Path(__file__).parents[2] / "config/paper.yaml").read_text())
WHOOPS = {"kind": "whoops", "path": None, "captions": "crowd_captions", "limit": None}


def changed(**changes: Any) -> dict[str, Any]:
    """The paper's configuration with keys set that are written as sections__key."""
    mapping = copy.deepcopy(PAPER)
    for keys, value in changes.items():
        *sections, key = keys.split("__")
        inside = mapping
        for section in sections:
            inside = inside[section]
        inside[key] = value
    return mapping


def paper(root: Path, **changes: Any) -> Settings:
    return load(changed(**changes), root, "config/paper.yaml")


def fault(root: Path, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        paper(root, **changes)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("config/paper.yaml: ")


def test_the_paper_s_configuration_needs_nothing_to_be_there(tmp_path: Path) -> None:
    settings = paper(tmp_path)
    assert settings.model.checkpoint == Path(".cache/checkpoints/instructblip-flan-t5-xl")
    assert settings.scores.bertscore.model == ".cache/checkpoints/roberta-large"
    assert settings.files_of(settings.model.checkpoint) == [".cache/checkpoints/instructblip-flan-t5-xl.json"]
    assert settings.picture_folder("whoops") == Path("results/paper/datasets/whoops/pictures")
    assert settings.captions_file("whoops") == Path("results/paper/datasets/whoops/crowd_captions.csv")
    assert settings.captions_file("imagenet") is None
    assert (settings.model.dtype, settings.model.language_dtype) == ("float16", "bfloat16")
    assert settings.datasets["imagenet"].limit == settings.lower.other_sample == 500
    assert settings.judge.kind == "openai"


def test_the_paper_s_configuration_is_complete() -> None:
    demo = yaml.safe_load((Path(__file__).parents[2] / "config/config.yaml").read_text())

    def keys(mapping: Any, at: str = "") -> set[str]:
        if not isinstance(mapping, dict) or at in (".datasets", ".clip.models"):  # names of one's own
            return {at}
        return {key for name, value in mapping.items() for key in keys(value, f"{at}.{name}")}

    assert keys(PAPER) == keys(demo)


def test_the_six_models_and_the_texts_of_the_second_study_come_from_the_manifest(tmp_path: Path) -> None:
    settings = paper(tmp_path)
    assert settings.clip is not None and len(settings.clip.models) == 6
    for name, folder in settings.clip.models.items():
        assert settings.files_of(folder) == [f".cache/checkpoints/{name}.json"]
    file = Path(".cache/texts/textspan-descriptions/image_descriptions_general.txt")
    assert settings.clip.descriptions == file
    assert settings.files_of(file) == [".cache/texts/textspan-descriptions.json"]


def test_the_configuration_of_table_1_is_valid_and_leaves_the_second_study_out(tmp_path: Path) -> None:
    mapping = yaml.safe_load((Path(__file__).parents[2] / "config/blip2-xxl.yaml").read_text())
    settings = load(mapping, tmp_path, "config/blip2-xxl.yaml")
    assert settings.model.kind == "blip2" and settings.clip is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"datasets__whoops__path": "here"}, "datasets.whoops.path: here: WHOOPS comes from the hub. Write "),
        ({"datasets__whoops__captions": "captions.csv"}, "datasets.whoops.captions: 'captions.csv' is no co"),
        ({"datasets__whoops__captions": "crowd_caption"}, "Did you mean crowd_captions? There are: crowd_ca"),
        ({"datasets__imagenet__captions": "x.csv"}, "datasets.imagenet.captions: 'x.csv': ImageNet has no c"),
        ({"datasets__imagenet__path": "no.tar"}, "datasets.imagenet.path: no.tar: no such file or directory"),
        ({"datasets__imagenet__kind": "imagnet"}, "one of folder, whoops, imagenet"),
        ({"lower__other": "more", "datasets__more": {**WHOOPS, "kind": "folder", "captions": None}},
         "datasets.more.path: null, but kind: folder needs a directory of pictures. Write its path."),
        ({"figures__fig6__images": ["whoops-500"]}, "no picture 'whoops-500' in WHOOPS: there are whoops-00"),
        ({"figures__fig6__images": ["whoops-000", "whoops-000"]}, "'whoops-000' is there twice. Delete one."),
        ({"model__checkpoint": "blip2-flan-t5-xxl"},
         "model.checkpoint: blip2-flan-t5-xxl is no instructblip. The manifest has: instructblip-flan-t5-xl"),
        ({"model__checkpoint": "instructblip-flan-t5-x"}, "Did you mean instructblip-flan-t5-xl? Write a fo"),
        ({"model__checkpoint": "./instructblip-flan-t5-xl"}, "model.checkpoint: instructblip-flan-t5-xl: no"),
        ({"model__depth": 40}, "model.depth: 40, but the manifest says 39 vision blocks. Write 39, or chang"),
        ({"heads__masks": [{3: [16]}]}, "heads.masks: layer 3: no head 16; the model's heads are 0-15."),
        ({"scores__bertscore__model": "roberta-lrge"}, "'roberta-lrge' is not known. Did you mean roberta-l"),
        ({"scores__bertscore__model": "instructblip-flan-t5-xl"}, "scores.bertscore.model: instructblip-fla"),
    ],
)  # fmt: skip
def test_a_wrong_combination_is_one_line(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    assert line in fault(tmp_path, **changes)


def test_pictures_beyond_the_limit_of_whoops_are_refused(tmp_path: Path) -> None:
    shown = ["whoops-000", "whoops-001", "whoops-002", "whoops-003", "whoops-004", "whoops-005"]
    assert paper(tmp_path, datasets__whoops__limit=6, figures__fig1__images=shown)
    with pytest.raises(
        ConfigError, match="no picture 'whoops-005' in WHOOPS: there are whoops-000 to whoops-004"
    ):
        paper(tmp_path, datasets__whoops__limit=5, figures__fig1__images=shown)


def test_imagenet_as_the_main_set_is_checked_when_it_is_there(tmp_path: Path) -> None:
    assert paper(tmp_path, main="imagenet", lower__other="whoops", figures__fig3__metric="bertscore")


def test_a_folder_called_like_an_entry_is_meant_with_a_dot(tmp_path: Path) -> None:
    folder = tmp_path / "instructblip-flan-t5-xl"
    folder.mkdir()
    sizes = {"vision_config": {"num_hidden_layers": 39, "num_attention_heads": 16}}
    (folder / "config.json").write_text(json.dumps(sizes))
    (folder / "model.safetensors").touch()
    settings = paper(tmp_path, model__checkpoint="./instructblip-flan-t5-xl")
    assert settings.model.checkpoint == Path("instructblip-flan-t5-xl")
