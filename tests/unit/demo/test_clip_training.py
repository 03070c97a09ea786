"""Training the demo CLIPs: the loss, growing, the pool, a short run, and that open_clip loads the result."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from vitpeel.demo import clip_architecture, clip_batches, clip_pictures, clip_training
from vitpeel.demo.clip_architecture import LARGE, SIZES, SMALL, Size
from vitpeel.demo.clip_captions import Shown
from vitpeel.demo.clip_losses import ClipLosses, contrastive
from vitpeel.demo.scenes import draw
from vitpeel.demo.words import OBJECTS, unusual_scenes

GLYPHS = Path(__file__).parents[3] / "resources" / "demo" / "glyphs"
SEED = 5


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    clip_pictures.draw_pool(folder, GLYPHS, SEED, 96)
    return folder


def first_batch(pool: Path, size: int) -> clip_batches.Batch:
    return next(clip_batches.batches(pool, SEED, 0, size, size))


def test_the_loss_is_open_clips_where_each_text_is_true_of_its_own_picture_alone() -> None:
    torch.manual_seed(0)
    images, texts = (F.normalize(torch.randn(7, 5), dim=-1) for _ in range(2))
    scale = torch.tensor(9.0)
    own = torch.eye(7, dtype=torch.bool)
    expected = open_clip.ClipLoss()(images, texts, scale)
    torch.testing.assert_close(contrastive(scale * texts @ images.T, own, ~own), expected)


def test_a_text_that_is_true_by_chance_is_no_negative() -> None:
    logits = torch.tensor([[1.0, 50.0], [-2.0, 1.0]], requires_grad=True)
    own = torch.eye(2, dtype=torch.bool)
    contrastive(logits, own, torch.tensor([[False, False], [True, False]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0 and logits.grad[1, 0] > 0


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_growing_nearly_keeps_the_function_and_makes_no_copies(size: Size) -> None:
    torch.manual_seed(0)
    shallow = clip_architecture.build_model(size, 4).eval()
    deep = clip_architecture.grow(shallow, size, 12).eval()
    pixels = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        assert F.cosine_similarity(shallow.encode_image(pixels), deep.encode_image(pixels)).min() > 0.98
    for part in ("attn.out_proj.weight", "mlp.c_proj.weight"):
        old = shallow.state_dict()[f"visual.transformer.resblocks.1.{part}"]
        new = [deep.state_dict()[f"visual.transformer.resblocks.{k}.{part}"] for k in (3, 4, 5)]
        torch.testing.assert_close(sum(new), old)
        assert all((one * other == 0).all() for one, other in pairwise(new))
        assert all((one != 0).any() for one in new)


def test_the_pool_holds_what_the_models_preprocessing_gives(pool: Path, tmp_path: Path) -> None:
    clip_architecture.save(clip_architecture.build_model(SMALL, 1), SMALL, tmp_path)
    _, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    pixels = np.load(pool / "pixels.npy")
    for k in range(5):
        expected = preprocess(draw(clip_pictures.layout(SEED, k), GLYPHS))
        torch.testing.assert_close(clip_batches.normalised(pixels[k : k + 1])[0], expected)


def test_owners_are_the_objects_shown(pool: Path) -> None:
    for k, owners in enumerate(np.load(pool / "owners.npy")):
        there = {*(OBJECTS.index(word) for word in clip_pictures.layout(SEED, k).objects)}
        assert set(np.unique(owners)) - {clip_pictures.BACKGROUND} == there


def test_only_the_unusual_set_shows_unusual_pairs() -> None:
    for k in range(300):
        for stream in (clip_pictures.ORDINARY_STREAM, clip_pictures.UNUSUAL_STREAM):
            shown = clip_pictures.layout(SEED, k, stream)
            assert len(shown.objects) == 1
            unusual = shown.scene in unusual_scenes(shown.objects[0])
            assert unusual == (stream == clip_pictures.UNUSUAL_STREAM)
        trained = clip_pictures.layout(SEED, k)
        assert not any(trained.scene in unusual_scenes(word) for word in trained.objects)


def test_every_pass_over_the_pool_sees_every_picture_once() -> None:
    found = np.concatenate(list(clip_pictures.numbers(10, 20, 4, seed=1)))
    assert sorted(found[:10]) == sorted(found[10:]) == list(range(10))
    assert list(found[:10]) != list(found[10:])


def test_a_batch_follows_from_its_seed_and_pairs_are_never_wrong(pool: Path) -> None:
    first, again = (first_batch(pool, 12) for _ in range(2))
    torch.testing.assert_close(first.pixels, again.pixels, rtol=0, atol=0)
    assert torch.equal(first.texts, again.texts)
    assert first.texts.shape == (2 * 12 + len(OBJECTS), clip_architecture.CONTEXT)
    assert not (first.pairs & first.wrong).any()
    assert first.wrong.any(0).all()


def test_no_scene_is_taught_as_a_reason_against_an_object(pool: Path) -> None:
    shown = [Shown(clip_pictures.layout(SEED, k), 0.5) for k in range(12)]
    pictures, owners = np.load(pool / "pixels.npy")[:12], np.load(pool / "owners.npy")[:12]
    batch = clip_batches.assemble(pictures, owners, shown, np.random.default_rng(0))
    names = batch.wrong[-len(OBJECTS) :]
    for column, one in enumerate(shown):
        expected = {w for w in OBJECTS if one.layout.scene not in unusual_scenes(w)} - set(one.layout.objects)
        assert {word for word, wrong in zip(OBJECTS, names[:, column], strict=True) if wrong} == expected


def test_seeing_every_patch_is_open_clips_own_forward(pool: Path) -> None:
    torch.manual_seed(0)
    losses = ClipLosses(clip_architecture.build_model(LARGE, 2)).eval()
    pixels = first_batch(pool, 3).pixels
    images, patches, kept = losses.see(pixels, keep=1.0)
    torch.testing.assert_close(images, losses.model.encode_image(pixels), rtol=1e-4, atol=1e-5)
    assert patches.shape == (3, 64, LARGE.width) and losses.see(pixels, keep=0.5)[1].shape[1] == 32
    assert torch.equal(kept.sort(1).values, torch.arange(64).expand(3, -1))


def test_a_short_run_learns_grows_and_leaves_a_model_that_open_clip_loads(pool: Path, tmp_path: Path) -> None:
    recipe = (
        clip_training.Stage(1, 40 * 16, (2e-3, 1e-3), warmup=5),
        clip_training.Stage(3, 8 * 16, (1e-3, 1e-4), warmup=2),
    )
    run = clip_training.Run("clip-small", GLYPHS, pool, tmp_path, SEED, recipe, 16, 8, (16, 24))
    clip_training.train(run)
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert list(curve["depth"].unique()) == [1, 3] and list(curve["images"]) == list(range(128, 769, 128))
    assert curve["loss"].iloc[-1] < 0.85 * curve["loss"].iloc[0]
    assert list(pd.read_csv(tmp_path / "evaluation.csv")["pictures"]) == [24, 24]
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    assert len(model.visual.transformer.resblocks) == 3


def test_the_tokenizer_is_open_clips_and_unknown_words_do_no_harm(tmp_path: Path) -> None:
    clip_architecture.save(clip_architecture.build_model(SMALL, 1), SMALL, tmp_path)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    texts = ["A photo of an owl.", "a photo of an owl", "a qwerty, a 7 and 猫", "", "big " * 90]
    found = tokenizer(texts)
    assert torch.equal(found, clip_architecture.tokens(texts))
    assert torch.equal(found[0], found[1])
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    assert torch.isfinite(model.encode_text(found)).all()
    assert (found.argmax(1) == torch.tensor([5, 5, 6, 0, clip_architecture.CONTEXT - 1])).all()
