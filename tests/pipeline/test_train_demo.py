"""How the demo's models are trained, with the shortest recipes: every stage, and models that load."""

import re
import shutil

import open_clip
import pandas as pd
from project import ROOT, Project
from transformers import InstructBlipForConditionalGeneration

TINY_RECIPE = """RECIPE: tuple[Stage, ...] = (
    Stage(depth=1, images=512, rate=2e-3, warmup=2, decay=0.0, auxiliary=1.0),
    Stage(depth=3, images=256, rate=1e-3, warmup=2, decay=0.5, auxiliary=0.5),
)
"""


def test_training_from_nothing_leaves_a_captioner_and_its_curve(untouched: Project) -> None:
    for name in ("glyphs", "whoops"):
        shutil.copytree(ROOT / "resources/demo" / name, untouched / f"resources/demo/{name}")
    training = untouched / "src/vitpeel/demo/training.py"
    code, recipes = re.subn(
        r"^RECIPE.*?^\)\n", TINY_RECIPE, training.read_text(), flags=re.DOTALL | re.MULTILINE
    )
    code, intervals = re.subn(r"^EVALUATE_EVERY = \d+", "EVALUATE_EVERY = 4", code, flags=re.MULTILINE)
    assert recipes == intervals == 1
    training.write_text(code)
    assert untouched.run("train_demo") <= {"train_demo"}
    out = untouched / "results/train_demo"
    curve = pd.read_csv(out / "curve.csv")
    assert list(curve["images"]) == [256, 512, 768]
    assert list(curve["depth"]) == [1, 1, 3]
    assert (out / "curve.pdf").read_bytes().startswith(b"%PDF")
    model = InstructBlipForConditionalGeneration.from_pretrained(out / "captioner")
    assert len(model.vision_model.encoder.layers) == 3


TINY_CLIP = """"clip-small": (Stage(1, 64, (1e-3, 1e-3)), Stage(2, 64, (1e-3, 1e-4), keep=0.5)),
    "clip-large": ("""


def test_training_a_clip_from_nothing_leaves_it_with_its_curve_and_its_evaluation(untouched: Project) -> None:
    shutil.copytree(ROOT / "resources/demo/glyphs", untouched / "resources/demo/glyphs")
    training = untouched / "src/vitpeel/demo/clip_training.py"
    code = training.read_text()
    for pattern, short in (
        (r'"clip-small": \(.*?"clip-large": \(', TINY_CLIP),
        (r"^BATCH = \d+", "BATCH = 32"),
        (r"^POOL = [\d_]+", "POOL = 64"),
        (r"^EVALUATE_EVERY = \d+", "EVALUATE_EVERY = 2"),
        (r"PROGRESS_PICTURES, FINAL_PICTURES = .*?#", "PROGRESS_PICTURES, FINAL_PICTURES = 8, 16  #"),
    ):
        code, times = re.subn(pattern, short, code, flags=re.DOTALL | re.MULTILINE)
        assert times == 1, pattern
    training.write_text(code)
    assert untouched.run("results/train_demo/clip-small") == {"train_demo_clip"}
    out = untouched / "results/train_demo/clip-small"
    assert list(pd.read_csv(out / "curve.csv")["depth"]) == [1, 2]
    assert list(pd.read_csv(out / "evaluation.csv")["pictures"]) == [16, 16]
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{out}")
    assert len(model.visual.transformer.resblocks) == 2
