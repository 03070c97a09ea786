"""Train the demo captioner from nothing."""

from pathlib import Path

from vitpeel.logs import job


def main(demo: Path, out: Path, seed: int, processes: int) -> None:
    """demo: folder with glyphs/ and the test pictures whoops/; out: gets captioner/ and curve.csv."""
    from vitpeel.demo.training import Run, train

    train(Run(demo=demo, out=out, seed=seed, processes=processes))


if __name__ == "__main__":  # the processes that share the training import this file
    with job(snakemake.log[0], 1):
        glyphs, curve = Path(snakemake.input.glyphs), Path(snakemake.output.curve)
        main(glyphs.parent, curve.parent, snakemake.params.seed, snakemake.threads)
