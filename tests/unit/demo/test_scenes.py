"""The demo world: what is drawn, what is said about it, and that both can be made again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vitpeel.demo import captions, pictures, scenes, words

DEMO = Path(__file__).parents[3] / "resources" / "demo"
SEED = 2024


@pytest.fixture(scope="module")
def training_layouts() -> list[scenes.Layout]:
    return [scenes.compose(np.random.default_rng([SEED, 1, k]), unusual=False) for k in range(3000)]


def test_the_world_has_the_promised_size() -> None:
    assert len(words.OBJECTS) == len(set(words.OBJECTS)) == 45
    assert len(words.CATEGORIES) == 9
    assert len(words.SCENES) == 8


@pytest.mark.parametrize(("folder", "unusual"), [("whoops", True), ("imagenet", False)])
def test_drawing_again_gives_the_shipped_pictures(folder: str, unusual: bool, tmp_path: Path) -> None:
    pictures.draw_set(tmp_path, DEMO / "glyphs", SEED, unusual)
    shipped = sorted(path.name for path in (DEMO / folder).iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == shipped
    assert len(shipped) == pictures.COUNT + 1
    assert (tmp_path / "captions.csv").read_text() == (DEMO / folder / "captions.csv").read_text()
    for name in shipped[1:]:
        with Image.open(tmp_path / name) as drawn, Image.open(DEMO / folder / name) as old:
            np.testing.assert_allclose(np.asarray(drawn, int), np.asarray(old, int), atol=2)


def test_training_never_shows_an_unusual_pair(training_layouts: list[scenes.Layout]) -> None:
    seen = {(word, layout.scene) for layout in training_layouts for word in layout.objects}
    unusual = {(word, layout.scene) for layout in pictures.layouts(SEED, True) for word in layout.objects}
    assert len(seen) > 250
    assert not seen & unusual


def test_shares_of_pairs_and_of_black_and_white(training_layouts: list[scenes.Layout]) -> None:
    pairs = np.mean([len(layout.objects) == 2 for layout in training_layouts])
    grey = np.mean([layout.monochrome for layout in training_layouts])
    assert pairs == pytest.approx(scenes.TWO_OBJECTS, abs=0.04)
    assert grey == pytest.approx(scenes.MONOCHROME, abs=0.02)


def test_black_and_white_is_drawn_without_colour(training_layouts: list[scenes.Layout]) -> None:
    grey = next(layout for layout in training_layouts if layout.monochrome)
    coloured = next(layout for layout in training_layouts if not layout.monochrome)
    spread = [np.ptp(np.asarray(scenes.draw(x, DEMO / "glyphs")), axis=2).max() for x in (grey, coloured)]
    assert spread[0] == 0 < spread[1]


def test_patches_are_owned_where_the_object_was_drawn(training_layouts: list[scenes.Layout]) -> None:
    for layout in training_layouts[:40]:
        owner = scenes.owner_of_patches(layout, DEMO / "glyphs", 64, 8)
        for k, placement in enumerate(layout.placements):
            rows, columns = np.nonzero(owner == k)
            centre = ((columns.mean() + 0.5) / 8, (rows.mean() + 0.5) / 8)
            np.testing.assert_allclose(centre, placement.centre, atol=0.13)


def test_captions_fall_from_exact_to_vague() -> None:
    layout = scenes.Layout(
        "snowy mountain",
        (
            scenes.Placement("giraffe", (0.3, 0.5), 0.4, 0, False, 1),
            scenes.Placement("owl", (0.7, 0.5), 0.4, 0, False, 1),
        ),
        "next to",
        False,
        1,
    )
    assert captions.references(layout) == (
        "a giraffe next to an owl on a snowy mountain",
        "a snowy mountain with a giraffe next to an owl",
        "a giraffe next to an owl in the snow",
        "a giraffe next to a bird on a snowy mountain",
        "a large animal next to a bird in the snow",
    )
    assert captions.sentence(layout, (2, 2), 2) == "something next to something outdoors"
    assert words.objects_in(captions.references(layout)[0]) == {"giraffe", "owl"}


def test_every_caption_is_in_the_vocabulary(training_layouts: list[scenes.Layout]) -> None:
    known = set(words.vocabulary())
    rng = np.random.default_rng(0)
    for layout in training_layouts:
        said = " ".join((*captions.references(layout), captions.training_caption(layout, rng)))
        assert set(said.split()) <= known


def test_references_of_the_shipped_pictures() -> None:
    table = pd.read_csv(DEMO / "whoops" / "captions.csv")
    assert (table.groupby("image_id").size() == 5).all()
    assert table.groupby("image_id")["caption"].nunique().min() >= 4
