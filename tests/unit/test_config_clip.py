"""The section clip: models, layers, heads, texts and pictures that are not there are refused in a line."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_config import changed, faults, lay_out

from vitpeel.config import load

HEAD = {"text": "a dog", "head": [11, 0]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clip")
    lay_out(root)
    (root / "bare").mkdir()
    (root / "pickled").mkdir()
    (root / "pickled/open_clip_config.json").write_text("{}")
    (root / "pickled/open_clip_pytorch_model.bin").touch()
    return root


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("clip", "no", 'clip: "no" is not allowed; a section is needed. Allowed in clip: models, dtype'),
        ("clip.models", {}, "clip.models: empty. Name at least one model, or write `clip: null`"),
        ("clip.models.clip-large", "bare", "clip.models: bare: no open_clip_config.json there. Name"),
        ("clip.models.clip-large", "pickled", "clip.models: pickled: no *.safetensors weights there; pic"),
        ("clip.models.clip-large", "clip-vit-b-16-opnai", "Did you mean clip-vit-b-16-openai?"),
        ("clip.dataset", "imagnet", "clip.dataset: 'imagnet' is none of datasets. Did you mean imagenet?"),
        ("clip.layers", 13, "clip.layers: 13, but clip-small has 12 layers. Write at most 12."),
        ("clip.descriptions", "textspan-descriptions/google.txt", "Did you mean textspan-d"),
        ("clip.labels.kind", "chatgpt", 'clip.labels.kind: "chatgpt" is not allowed; write one of lexicon'),
        ("clip.labels.overrides", "mine.csv", "clip.labels.overrides: mine.csv: no such file or directory"),
        ("clip.labels.openai.replies", "results/r.jsonl", "would be deleted with the results"),
        ("clip.analyses.model", "small", "clip.analyses.model: 'small' is none of clip.models. Did you m"),
        ("clip.analyses.measure", "dots", 'write one of cosine, dot.'),
        ("clip.analyses.texts", [HEAD, {**HEAD, "head": [7, 0]}],
         "clip.analyses.texts[1].head: layer 7 is none of the last 4, 8-11 (clip.layers)."),
        ("clip.analyses.texts", [{**HEAD, "head": [11, 8]}],
         "clip.analyses.texts[0].head: no head 8; the heads of a layer are 0-7."),
        ("clip.analyses.texts", [{**HEAD, "hed": 1}],
         "clip.analyses.texts[0].hed: unknown key. Did you mean clip.analyses.texts.head?"),
        ("clip.analyses.texts", [{"text": "a dog"}], "clip.analyses.texts[0].head: missing. Write a list of"),
        ("clip.analyses.texts", [{**HEAD, "text": 5}],
         "clip.analyses.texts[0].text: 5 is not allowed; write text. In quotes."),
        ("clip.analyses.pictures", [{"picture": "unusual-1000", "head": [11, 0]}],
         "clip.analyses.pictures[0].picture: no picture 'unusual-1000' in resources/demo/whoops."),
        ("clip.analyses.properties", [{"picture": "unusual-038", "property": "none"}],
         "clip.analyses.properties[0].property: none is what heads without a property are labelled."),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(path: str, value: Any, line: str, root: Path) -> None:
    (found,) = faults(changed(path, value), root)
    assert line in found


def test_null_leaves_the_study_out(root: Path) -> None:
    assert load(changed("clip", None), root).clip is None


def test_a_folder_of_the_user_s_wins_over_a_name_of_the_manifest(root: Path, tmp_path: Path) -> None:
    lay_out(tmp_path)
    name = "clip-vit-b-32-openai"
    mapping = changed("clip.models", {"clip-large": "resources/demo/clip-large", "downloaded": name})
    settings = load(mapping, tmp_path)
    assert settings.clip is not None
    assert settings.clip.models["downloaded"] == Path(".cache/checkpoints", name)
    (tmp_path / name).mkdir()
    config = {"model_cfg": {"vision_cfg": {"layers": 12, "width": 768}}}
    (tmp_path / name / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / name / "model.safetensors").touch()
    settings = load(mapping, tmp_path)
    assert settings.clip is not None and settings.clip.models["downloaded"] == Path(name)
