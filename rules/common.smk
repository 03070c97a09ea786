"""What the rules share: the checked settings, what a rule depends on, names of files and targets."""

import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from vitpeel.config import load
from vitpeel.errors import ConfigError
from vitpeel.sources import fingerprint, modules

try:
    settings = load(config, Path.cwd(), ", ".join(map(str, workflow.configfiles)))
except ConfigError as faults:
    sys.exit(str(faults))

RESULTS = f"results/{settings.run}"
DEPTH = settings.model.depth
THREADS = settings.compute.threads
SHARDS = [f"{shard}-of-{settings.compute.shards}" for shard in range(settings.compute.shards)]
# Jobs that use the model ask for a GPU where the configuration does.
GPU = int(settings.model.device == "cuda")
# Settings go to params as plain values and no more than a job uses: Snakemake reruns it when one of these changes.
MODEL = settings.model.model_dump(mode="json", include={"kind", "checkpoint", "dtype", "device"})
READING = settings.model.model_dump(mode="json", include={"prompt", "readout"})
CHECKPOINT = sorted(str(file) for file in settings.model.checkpoint.rglob("*") if file.is_file())
# The line at the foot of every figure.
SOURCE = {
    "run": settings.run,
    "checkpoint": settings.model.checkpoint.as_posix(),
    "embedded": settings.model.checkpoint.resolve().is_relative_to(Path(workflow.basedir, "resources/demo")),
}

INDEXES = [f"{RESULTS}/datasets/{name}/pictures.parquet" for name in settings.datasets]
SUMMARY = f"{RESULTS}/tables/{settings.main}/summary.parquet"
FIG1 = multiext(f"{RESULTS}/figures/fig1", ".pdf", ".png")
FIG3 = multiext(f"{RESULTS}/figures/fig3", ".pdf", ".png")
METRIC = settings.figures.fig3.metric
# The table of scores that Figure 3 is drawn from; `references` needs captions that people wrote.
FIG3_SCORES = "bertscore" if METRIC == "bertscore" else "references"
FIG3_HAS_SCORES = settings.has_references or FIG3_SCORES == "bertscore"


wildcard_constraints:
    run=re.escape(settings.run),
    dataset="|".join(map(re.escape, settings.datasets)),
    shard=r"\d+-of-\d+",


def picture_files(wildcards) -> str:
    """A text that changes with the pictures of a dataset, not with their captions."""
    return fingerprint(settings.datasets[wildcards.dataset].path)


def with_references(wildcards) -> str:
    """The picture table, for scores that cannot do without references."""
    if settings.datasets[wildcards.dataset].captions is None:
        raise WorkflowError(
            f"datasets.{wildcards.dataset}.captions is null: name a captions file to score against."
        )
    return f"results/{wildcards.run}/datasets/{wildcards.dataset}/pictures.parquet"


def fig3_if_scored(wildcards) -> list[str]:
    """Figure 3, which has nothing to show without the scores that it draws."""
    if not FIG3_HAS_SCORES:
        raise WorkflowError(
            f"Figure 3 shows {METRIC}, which needs references, and datasets.{settings.main}.captions is null. "
            "Name a captions file, or draw BERTScore (figures.fig3.metric: bertscore)."
        )
    return FIG3


def scores_of(wildcards) -> list[str]:
    """The tables of scores that a dataset can have: without captions none against references."""
    has_references = settings.datasets[wildcards.dataset].captions is not None and settings.scores.references
    kinds = ["references", "bertscore"] if has_references else ["bertscore"]
    return [f"results/{wildcards.run}/scores/{wildcards.dataset}/{kind}.parquet" for kind in kinds]


if workflow.is_main_process and not FIG3_HAS_SCORES:
    logger.warning(
        f"datasets.{settings.main}.captions is null: scores that need references are left out, and so is "
        f"Figure 3, which shows {METRIC}. With figures.fig3.metric: bertscore it can be drawn."
    )


def refuse_read_only(folder: str) -> None:
    """Stop before the first job where no result can be written."""
    there = next(path for path in [Path(folder), *Path(folder).parents] if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise WorkflowError(
            f"{there}: read-only, results would go to {folder}. Make it writable (`chmod u+w {there}`) and run "
            "`snakemake` again."
        )


onstart:
    refuse_read_only(RESULTS)
