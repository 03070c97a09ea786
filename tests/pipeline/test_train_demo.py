"""`snakemake train_demo`, with the shortest recipe: both stages, both processes, a captioner that loads."""

import re
import shutil

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
