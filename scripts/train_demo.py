"""Train the demo captioner from nothing."""

from pathlib import Path

from vitpeel.logs import job


def main(demo: Path, out: Path, seed: int, processes: int) -> None:
    """demo: folder with glyphs/ and the test pictures whoops/; out: gets captioner/, curve.csv, its plot."""
    import pandas as pd

    from vitpeel.demo.training import Run, train
    from vitpeel.plots import demo_training, style

    train(Run(demo=demo, out=out, seed=seed, processes=processes))
    style.save([demo_training.draw(pd.read_csv(out / "curve.csv"))], out / "curve.pdf", out / "curve.png")


if __name__ == "__main__":  # the processes that share the training import this file
    with job(snakemake.log[0], 1):
        glyphs, curve = Path(snakemake.input.glyphs), Path(snakemake.output.curve)
        main(glyphs.parent, curve.parent, snakemake.params.seed, snakemake.threads)
