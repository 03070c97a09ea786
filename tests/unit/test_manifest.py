"""The manifest: what it must hold, and that its facts are the checkpoints'."""

import json
from pathlib import Path

import pytest
import yaml

from vitpeel import manifest
from vitpeel.errors import InputError


def test_what_both_studies_need_is_there() -> None:
    read = manifest.read()
    kinds = {name: entry.architecture and entry.architecture.kind for name, entry in read.checkpoints.items()}
    assert {"instructblip-flan-t5-xl", "blip2-flan-t5-xxl", "roberta-large"} <= set(kinds)
    assert sum(kind == "clip" for kind in kinds.values()) == 6
    assert {"whoops", "imagenet"} == set(read.datasets)
    assert len(read.texts["textspan-descriptions"].files) == 2


def test_every_entry_is_pinned_or_a_branch_and_gated_ones_name_their_page() -> None:
    for collection, name, entry in manifest.read():
        assert entry.pinned or entry.revision == "main", name
        assert (entry.gated is None) or entry.gated.startswith("https://huggingface.co/datasets/"), name
        assert (entry.architecture is not None) == (collection == "checkpoints"), name
        assert entry.licence and entry.title


def test_a_repository_and_a_url_at_once_are_refused(tmp_path: Path) -> None:
    raw = yaml.safe_load(manifest.MANIFEST.read_text())
    raw["checkpoints"]["roberta-large"]["url"] = "https://somewhere/"
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match="roberta-large"):
        manifest.read(tmp_path / "manifest.yaml")


def test_the_cache_knows_its_entries(tmp_path: Path) -> None:
    folder = manifest.folder(tmp_path, "roberta-large")
    assert folder == tmp_path / "checkpoints/roberta-large"
    assert manifest.cached(tmp_path, folder) == "roberta-large"
    assert manifest.cached(tmp_path, tmp_path / "mine") is None
    with pytest.raises(InputError, match="roberta: not in the manifest"):
        manifest.folder(tmp_path, "roberta")


@pytest.mark.parametrize("inside", [{"vision_config": {"num_hidden_layers": 40}}, {"num_attention_heads": 8}])
def test_other_facts_than_the_manifest_s_are_refused(tmp_path: Path, inside: dict[str, object]) -> None:
    entry = manifest.read().checkpoints["instructblip-flan-t5-xl"]
    (tmp_path / "config.json").write_text(json.dumps(inside))
    with pytest.raises(InputError, match=r"the manifest says (39|16): another model than expected"):
        manifest.check_architecture(entry, tmp_path)
