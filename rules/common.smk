"""What the rules share: the checked settings, what a rule depends on, names of files and targets."""

import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from vitpeel import manifest
from vitpeel.config import load
from vitpeel.datasets.names import WHOOPS_CAPTIONS
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
READING = settings.model.model_dump(
    mode="json", include={"prompt", "readout", "qformer_dtype", "language_dtype"}
)
# Files of the checkpoint and of BERTScore's model that jobs depend on: for what the manifest brings, its receipt.
CHECKPOINT = settings.files_of(settings.model.checkpoint)
BERTSCORE_MODEL = settings.files_of(Path(settings.scores.bertscore.model))
INDEXES = [f"{RESULTS}/datasets/{name}/pictures.parquet" for name in settings.datasets]
SUMMARY = f"{RESULTS}/tables/{settings.main}/summary.parquet"

# What the sections add to, each its own: named targets with the files behind them; targets that this configuration
# can not have, with the reason; parts of the sets of pictures, and how they are drawn (see datasets/subsets.py);
# captioned experiments of the main set, and the table of the pictures that each captions.
FIGURES = {}
LEFT_OUT = {}
SUBSETS = {}
EXPERIMENTS = {"layers": "files"}


def figure(name: str) -> list[str]:
    """PDF and PNG of a figure."""
    return multiext(f"{RESULTS}/figures/{name}", ".pdf", ".png")


wildcard_constraints:
    run=re.escape(settings.run),
    dataset="|".join(map(re.escape, settings.datasets)),
    shard=r"\d+-of-\d+",
    subset=r"[a-z-]+",
    experiment=r"[a-z]+",


def source_of(*checkpoints: Path) -> dict:
    """What the line at the foot of a figure says."""
    demo = Path(workflow.basedir, "resources/demo")
    return {
        "run": settings.run,
        "checkpoint": ", ".join(checkpoint.as_posix() for checkpoint in checkpoints),
        "embedded": all(checkpoint.resolve().is_relative_to(demo) for checkpoint in checkpoints),
    }


SOURCE = source_of(settings.model.checkpoint)


def pictures_of(dataset: str) -> str:
    """A text that changes with the pictures of a folder, not with their captions. Of unpacked ones: none."""
    chosen = settings.datasets[dataset]
    return fingerprint(chosen.path) if chosen.kind == "folder" else ""


def picture_files(wildcards) -> str:
    """The text of a job's dataset."""
    return pictures_of(wildcards.dataset)


def listed_pictures(wildcards) -> list[str]:
    """The list of a dataset's pictures that were unpacked; a folder of the user's has none."""
    unpacked = settings.datasets[wildcards.dataset].kind != "folder"
    return [f"results/{wildcards.run}/datasets/{wildcards.dataset}/listed.csv"] if unpacked else []


def with_references(wildcards) -> str:
    """The picture table, for scores that cannot do without references."""
    if settings.datasets[wildcards.dataset].captions is None:
        raise WorkflowError(
            f"datasets.{wildcards.dataset}.captions is null: name a captions file to score against."
        )
    return f"results/{wildcards.run}/datasets/{wildcards.dataset}/pictures.parquet"


def captioned_pictures(wildcards) -> str:
    """The table of the pictures that an experiment captions."""
    return f"results/{wildcards.run}/datasets/{wildcards.dataset}/{EXPERIMENTS[wildcards.experiment]}.parquet"


def scores_of(wildcards) -> list[str]:
    """The tables of scores that a dataset can have: without captions none against references."""
    has_references = settings.datasets[wildcards.dataset].captions is not None and settings.scores.references
    kinds = ["references", "bertscore"] if has_references else ["bertscore"]
    return [f"results/{wildcards.run}/scores/{wildcards.dataset}/{kind}.parquet" for kind in kinds]


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
