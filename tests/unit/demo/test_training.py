"""Training the demo captioner: growing, sharing the examples, and a short run that ends in a checkpoint."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from vitpeel.demo import architecture, batches, training

DEMO = Path(__file__).parents[3] / "resources" / "demo"


def test_growing_multiplies_the_blocks_and_nearly_keeps_the_function() -> None:
    torch.manual_seed(0)
    processor = architecture.build_processor()
    shallow = architecture.build_model(processor, 4).eval()
    deep = architecture.grow(shallow, processor, 3).eval()
    assert len(deep.vision_model.encoder.layers) == 12
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before, after = (m.vision_model(pixels).last_hidden_state for m in (shallow, deep))
    assert torch.nn.functional.cosine_similarity(before, after, dim=-1).min() > 0.95


def test_an_example_follows_from_its_number_alone() -> None:
    processor = architecture.build_processor()
    first, again = (batches.Scenes(DEMO / "glyphs", processor, seed=1, length=100) for _ in range(2))
    last = first[7]
    _ = again[3]
    torch.testing.assert_close(last["pixels"], again[7]["pixels"], rtol=0, atol=0)
    assert last["labels"] == again[7]["labels"]
    assert first[7]["labels"] != first[8]["labels"]


def test_the_training_pixels_are_the_processors() -> None:
    processor = architecture.build_processor()
    example = batches.Scenes(DEMO / "glyphs", processor, seed=1, length=1)[0]
    import numpy as np

    from vitpeel.demo.scenes import compose, draw

    layout = compose(np.random.default_rng([1, batches.TRAINING_STREAM, 0]), unusual=False)
    pixels = processor.image_processor([draw(layout, DEMO / "glyphs")], return_tensors="pt").pixel_values
    torch.testing.assert_close(example["pixels"], pixels[0], rtol=0, atol=1e-6)


def test_ranks_share_the_examples_without_overlap() -> None:
    processor = architecture.build_processor()
    examples = batches.Scenes(DEMO / "glyphs", processor, seed=1, length=64)
    shares = [set(batches.loader(examples, 16, rank, 2, 8, workers=0).sampler) for rank in range(2)]
    assert shares[0] | shares[1] == set(range(16, 64))
    assert not shares[0] & shares[1]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_short_run_learns_and_leaves_a_checkpoint(tmp_path: Path, processes: int) -> None:
    recipe = (
        training.Stage(depth=1, images=1024, rate=2e-3, warmup=4, decay=0.2, auxiliary=1.0),
        training.Stage(depth=2, images=256, rate=1e-3, warmup=2, decay=0.2, auxiliary=1.0),
    )
    training.train(
        training.Run(DEMO, tmp_path, 3, recipe, processes, evaluate_every=2, port=29600 + processes)
    )
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert list(curve["depth"].unique()) == [1, 2]
    assert curve["loss"].iloc[-1] < 0.75 * curve["loss"].iloc[0]
    model = InstructBlipForConditionalGeneration.from_pretrained(tmp_path / "captioner")
    assert len(model.vision_model.encoder.layers) == 2
    processor = InstructBlipProcessor.from_pretrained(tmp_path / "captioner", backend="pil")
    assert processor.num_query_tokens == architecture.QUERIES
