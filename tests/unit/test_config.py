"""The configuration: complete, in step with its documents, and every fault refused in a line of its own."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from pydantic import BaseModel

from vitpeel.config import Decoding, Settings, load
from vitpeel.config import docs as config_docs
from vitpeel.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((ROOT / "config/config.yaml").read_text())
Mapping = dict[str, Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    lay_out(root)
    return root


def lay_out(root: Path) -> None:
    """Put all the files into `root` that the shipped configuration names, none of them large."""
    for dataset in SHIPPED["datasets"].values():
        (root / dataset["path"]).mkdir(parents=True)
        (root / dataset["captions"]).write_text("image_id,caption\n")
    figures = SHIPPED["figures"].values()
    shown = {image for f in figures for image in (f if isinstance(f, list) else f.get("images", ()))}
    clip = SHIPPED["clip"]
    asked = [query for queries in clip["analyses"].values() if isinstance(queries, list) for query in queries]
    shown |= {image for query in asked for image in query.get("pictures", [query.get("picture")]) if image}
    for image in shown:
        Image.new("RGB", (9, 9)).save(root / SHIPPED["datasets"]["whoops"]["path"] / f"{image}.jpg")
    checkpoint = root / SHIPPED["model"]["checkpoint"]
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text(
        json.dumps({"vision_config": {"num_hidden_layers": 39, "num_attention_heads": 8}})
    )
    (checkpoint / "model.safetensors").touch()
    for folder in clip["models"].values():
        (root / folder).mkdir()
        vision = {"layers": 12, "width": 128, "head_width": 16}
        (root / folder / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": {"vision_cfg": vision}})
        )
        (root / folder / "open_clip_model.safetensors").touch()
    (root / clip["descriptions"]).write_text("a dog\n")


def changed(path: str, value: Any) -> Mapping:
    """The shipped configuration with the key at a dotted path set; Ellipsis removes it."""
    mapping = copy.deepcopy(SHIPPED)
    *sections, key = path.split(".")
    inside = mapping
    for section in sections:
        inside = inside[section]
    if value is ...:
        del inside[key]
    else:
        inside[key] = value
    return mapping


def faults(mapping: Mapping, root: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(mapping, root)
    return str(caught.value).splitlines()


def test_the_shipped_configuration_is_complete(root: Path) -> None:
    def unwritten(model: BaseModel, at: str = "") -> list[str]:
        names = set(type(model).model_fields) - model.model_fields_set
        inner = [(n, getattr(model, n)) for n in model.model_fields_set]
        nested = [(n, v) for n, v in inner if isinstance(v, BaseModel)]
        nested += [(f"{n}.{k}", v) for n, d in inner if isinstance(d, dict) for k, v in d.items()]
        nested += [(f"{n}[{k}]", v) for n, d in inner if isinstance(d, tuple) for k, v in enumerate(d)]
        nested = [(n, v) for n, v in nested if isinstance(v, BaseModel)]
        return [f"{at}{name}" for name in names] + [x for n, v in nested for x in unwritten(v, f"{at}{n}.")]

    assert unwritten(load(SHIPPED, root)) == []


def test_the_documents_are_in_step_with_the_models() -> None:
    remedy = "run `python -m vitpeel.config.docs`"
    assert (ROOT / "config/README.md").read_text() == config_docs.readme(), remedy
    assert (ROOT / "config/config.schema.json").read_text() == config_docs.schema(), remedy


def test_every_key_is_documented() -> None:
    readme = config_docs.readme()
    properties = Settings.model_json_schema()["$defs"]
    keys = {key for model in properties.values() for key in model["properties"]}
    sections = {key for key in keys if f".{key}\n" in readme}
    assert {key for key in keys - sections if f"| `{key}` |" not in readme} == set()


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("model.promt", "x", "model.promt: unknown key. Did you mean model.prompt? (text)"),
        ("compute.shard", 2, "compute.shard: unknown key. Did you mean compute.shards? (an integer at least"),
        ("beams", 3, "beams: unknown key. Did you mean model.decoding.beams? (an integer at least 1) Allowe"),
        ("model.xyzzy", 3, "model.xyzzy: unknown key. Allowed in model: kind, checkpoint, depth, prompt, "),
        ("compute.shards", "2", 'compute.shards: "2" is not allowed; write an integer at least 1 and at mos'),
        ("compute.threads", 1.5, "compute.threads: 1.5 is not allowed; write an integer at least 1. "),
        ("compute.threads", True, "compute.threads: true is not allowed; write an integer at least 1. "),
        ("compute.cache_residuals", 1, "compute.cache_residuals: 1 is not allowed; write true or false. "),
        ("model.prompt", 3, "model.prompt: 3 is not allowed; write text. In quotes. "),
        ("model.dtype", "fp16", 'model.dtype: "fp16" is not allowed; write one of float32, float16, bfloat1'),
        ("model.prompt", ..., "model.prompt: missing. Write text. "),
        ("scores", ..., "scores: this section is missing. Allowed in scores: references, bertscore, bootstr"),
        ("model.decoding", 5, "model.decoding: 5 is not allowed; a section is needed. Allowed in model.deco"),
        ("datasets.whoops", "a", 'datasets.whoops: "a" is not allowed; a section is needed. Allowed in data'),
        ("run", "a/b", "run: 'a/b': letters, digits, '-', '_' and '.' only, and a letter or digit first."),
        ("main", "whops", "main: 'whops' is none of datasets. Did you mean whoops? There are: imagenet, who"),
        ("figures.fig1.layers", [0, 39], "figures.fig1.layers: layer 39 is outside 0-38, the layers of the"),
        ("figures.fig1.layers", [-1], "figures.fig1.layers: layer -1 is outside 0-38, the layers of the mod"),
        ("figures.fig3.layers", [31, 39], "figures.fig3.layers: layer 39 is outside 0-38, the layers of the"),
        ("figures.fig3.layers", [38, 31], "figures.fig3.layers: [38, 31]: the first layer comes after the l"),
        ("figures.fig3.layers", [31], "figures.fig3.layers: [31] is not allowed; write a list of 2: an inte"),
        ("figures.fig3.metric", "spice", 'figures.fig3.metric: "spice" is not allowed; write one of cider'),
        ("scores.references", ["bleu4"], "figures.fig3.metric: 'cider' is not computed. Add it to scores.re"),
        ("model.depth", 40, "model.depth: 40, but resources/demo/captioner/config.json says 39 vision block"),
        ("scores.bootstrap.confidence", float("nan"), "scores.bootstrap.confidence: NaN is not allowed; wri"),
        ("scores.bertscore.model", "gt-minilm-l6-v2", "scores.bertscore.model: 'gt-minilm-l6-v2' is not kno"),
        ("figures.fig6.layer", 39, "figures.fig6.layer: layer 39 is outside 0-38, the layers of the model."),
        ("figures.outliers.layers", [*range(7)], "figures.outliers.layers: [0, 1, 2, 3, 4, 5, 6] is not al"),
        ("lower.middle", [12, 20], "lower.middle: [12, 20] does not follow lower.layers [0, 10]. Begin wit"),
        ("lower.other", "whoops", "lower.other: 'whoops' is the main set itself. Name another of datasets,"),
        ("lower.baseline", "mesured", 'lower.baseline: "mesured" is not allowed; write a number at least 0'),
        ("heads.masks", [{3: [8]}], "heads.masks: layer 3: no head 8; the model's heads are 0-7."),
        ("pruning.count", 8, "pruning.count: 8 would prune every head of a layer, which has 8. Write"),
        ("heads.masks", [{39: [0]}], "heads.masks: layer 39 is outside 0-38, the layers of the model. The "),
        ("heads.masks", [{"x": [0]}], 'heads.masks: [{"x": [0]}] is not allowed; write a list, at least on'),
        ("model.decoding.min_new_tokens", 300, "model.decoding.max_new_tokens: 256 is less than min_new_tok"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(path: str, value: Any, line: str, root: Path) -> None:
    (found,) = faults(changed(path, value), root)
    assert found.startswith(f"config/config.yaml: {line}")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (
            "datasets.whoops.path",
            "resources/demo/whops",
            "no such file or directory, looked for in {root}. Did you mean resources/demo/whoops? Write a di",
        ),
        (
            "datasets.whoops.captions",
            "resources/demo/whoops/caption.csv",
            "no such file or directory, looked for in {root}. Did you mean resources/demo/whoops/captions.cs",
        ),
        (
            "datasets.whoops.captions",
            "resources/demo/whoops",
            " is a directory. Write a CSV file (image_id,caption",
        ),
        (
            "model.checkpoint",
            "resources/demo/captoner",
            "no such file or directory, looked for in {root}. Did you ",
        ),
        (
            "model.checkpoint",
            "resources/demo/whoops",
            "no config.json there. Name a folder written by `save_pretr",
        ),
    ],
)
def test_a_missing_file_is_named_with_its_neighbour(path: str, value: str, line: str, root: Path) -> None:
    (found,) = faults(changed(path, value), root)
    assert found.startswith(f"config/config.yaml: {path}: {value}")
    assert line.format(root=root) in found


def test_a_checkpoint_without_safetensors_weights(root: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").touch()
    (line,) = faults(changed("model.checkpoint", str(tmp_path)), root)
    assert "no *.safetensors weights there (only pytorch_model.bin: pickles are not loaded)" in line


def test_an_unknown_picture(root: Path) -> None:
    (line,) = faults(changed("figures.fig1.images", ["unusual"]), root)
    assert line.startswith(
        "config/config.yaml: figures.fig1.images: no picture 'unusual' in resources/demo/whoops"
    )


def test_all_faults_at_once(root: Path) -> None:
    mapping = changed("model.promt", "x")
    mapping["compute"]["shards"] = 0
    mapping["figures"]["fig1"]["layers"] = [99]
    mapping["datasets"]["whoops"]["path"] = "nowhere"
    keys = ["datasets.whoops.path", "model.promt", "compute.shards", "figures.fig1.layers"]
    assert [line.split(": ")[1] for line in faults(mapping, root)] == keys


def test_no_datasets(root: Path) -> None:
    line = "config/config.yaml: datasets: empty. Name at least one set of pictures."
    assert faults(changed("datasets", {}), root)[0] == line


def test_a_loaded_configuration_cannot_change(root: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(SHIPPED, root).run = "other"  # type: ignore[misc]


def test_decoding_defaults_are_those_of_lavis() -> None:
    assert Decoding().model_dump() == {
        "beams": 5,
        "repetition_penalty": 1.5,
        "length_penalty": 1.0,
        "min_new_tokens": 1,
        "max_new_tokens": 256,
    }


def test_no_captions_is_no_fault(root: Path) -> None:
    settings = load(changed("datasets.whoops.captions", None), root)
    assert not settings.has_references
    assert load(SHIPPED, root).has_references
