"""The page offers what the run has, and is built so that nothing is asked of other machines."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from vitpeel.app import cli, look, page
from vitpeel.app.engines import Engines
from vitpeel.app.results import Offer, Study

ROOT = Path(__file__).parents[3]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """The shipped configuration with one picture, without results of CLIP models."""
    monkeypatch.chdir(ROOT)
    written = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    written["clip"] = None
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(written))
    picture = sorted((ROOT / "resources/demo/whoops").glob("*.jpg"))[0]
    settings = cli.settings_of(tmp_path / "config.yaml")
    return Offer(settings, {picture.stem: picture}, (picture.stem,), {}, {})


def tabs(offer: Offer) -> list[str]:
    built = page.build(offer, Engines(offer))
    assert built.analytics_enabled is False
    return [block.label for block in built.blocks.values() if type(block).__name__ == "Tab"]


def test_without_clip_models_only_the_captioner_is_offered(offer: Offer) -> None:
    assert tabs(offer) == ["Peel"]


def test_with_clip_models_there_is_a_tab_for_each_analysis(offer: Offer) -> None:
    settings = cli.settings_of(ROOT / "config/config.yaml")
    assert settings.clip is not None
    places = [(layer, head) for layer in (10, 11) for head in range(8)]
    frame = pd.DataFrame(places, columns=["layer", "head"])
    studies = {
        name: Study(
            name,
            path,
            Path("index.safetensors"),
            frame.assign(model=name, label="colors", source="lexicon", matches=3, texts=5),
            frame.assign(model=name, rank=1, text="something red", share=0.5),
        )
        for name, path in settings.clip.models.items()
    }
    whole = Offer(settings, offer.pictures, offer.examples, offer.pictures, studies)
    assert tabs(whole) == ["Property", "Topic", "Contrast", "Picture", "Text", "Peel"]


def test_fonts_are_the_systems() -> None:
    css = look.theme()._get_theme_css()
    assert "--font: system-ui" in css and "@import" not in css and "url('http" not in css
    assert look.theme()._stylesheets == []
