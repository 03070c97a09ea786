"""Train one of the two demo CLIPs from nothing."""

from pathlib import Path

from vitpeel.logs import job


def main(glyphs: Path, out: Path, size: str, seed: int) -> None:
    """glyphs: folder with one picture an object; out: gets the model, curve.csv and evaluation.csv."""
    from tempfile import TemporaryDirectory

    from vitpeel.demo.clip_pictures import draw_pool
    from vitpeel.demo.clip_training import POOL, RECIPES, Run, train

    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as pool:
        draw_pool(Path(pool), glyphs, seed, POOL)
        train(Run(size, glyphs, Path(pool), out, seed, RECIPES[size]))


with job(snakemake.log[0], snakemake.threads):
    glyphs, model = Path(snakemake.input.glyphs), Path(snakemake.output.model)
    main(glyphs, model, snakemake.wildcards.size, snakemake.params.seed)
