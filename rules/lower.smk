"""Section 4.2, the lower layers as texture tailors; lower_figures.smk draws Figure 2 and appendix A from it."""

HALF = settings.lower.means_from == "half"
EXPERIMENTS["lower"] = "subsets/captioned" if HALF else "files"
if HALF:
    SUBSETS |= {"averaged": {"kind": "half"}, "captioned": {"kind": "other half"}}
if settings.lower.other_sample is not None:
    SUBSETS["averaged-other"] = {"kind": "sample", "count": settings.lower.other_sample}
# Of the main set and the other one: the table of the pictures that are averaged, and how they were chosen.
AVERAGED = {settings.main: "subsets/averaged" if HALF else "files"}
if settings.lower.other is not None:
    AVERAGED[settings.lower.other] = (
        "files" if settings.lower.other_sample is None else "subsets/averaged-other"
    )
CHOSEN = {
    name: (
        {"dataset": name, "kind": "all"}
        if table == "files"
        else {"dataset": name, **SUBSETS[Path(table).name], "seed": settings.seed}
    )
    for name, table in AVERAGED.items()
}
POINTS = {**settings.lower.model_dump(mode="json", include={"layers", "middle"}), "other": len(AVERAGED) > 1}
# How their means take part.
MEANS = settings.lower.model_dump(mode="json", include={"place", "vector", "confusion"})


rule sum_means:
    message:
        "Average what the layers of {wildcards.dataset} read (shard {wildcards.shard})"
    input:
        residuals=cached_residuals,
        pictures=averaged_pictures,
        checkpoint=CHECKPOINT,
        # The captioner is loaded with the trunk and not run.
        code=modules(
            "activations",
            "means",
            "models/instructblip",
            unused=["captioner", "decoding", "models/t5", "t5"],
        ),
    output:
        sums="results/{run}/means/{dataset}/sums-{shard}.safetensors",
    log:
        "results/{run}/logs/sum_means/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/sum_means/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        averaged=lambda wildcards: CHOSEN[wildcards.dataset],
        places=averaged_places,
        batch=settings.compute.picture_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/sum_means.py"


rule caption_lower:
    message:
        f"Caption {settings.main} with averaged and confused lower layers (shard {{wildcards.shard}})"
    input:
        own=sums_of(settings.main),
        other=sums_of(settings.lower.other) if settings.lower.other else [],
        pictures=f"results/{{run}}/datasets/{settings.main}/{EXPERIMENTS['lower']}.parquet",
        checkpoint=CHECKPOINT,
        code=modules("activations", "caption_tables", "lower", "models/instructblip"),
    output:
        captions=f"results/{{run}}/captions/{settings.main}/lower-{{shard}}.parquet",
    log:
        "results/{run}/logs/caption_lower/{shard}.log",
    benchmark:
        "results/{run}/benchmarks/caption_lower/{shard}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        points=POINTS,
        averaged=list(CHOSEN.values()),
        means=MEANS,
        picture_batch=settings.compute.picture_batch,
        caption_batch=settings.compute.caption_batch,
        files=pictures_of(settings.main),
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_lower.py"


rule compare_lower:
    message:
        "Compare the captions of averaged and confused lower layers with the unedited ones, by BERTScore"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/lower.parquet",
        model=BERTSCORE_MODEL,
        code=modules("caption_tables", "scores/lower"),
    output:
        scores=f"results/{{run}}/scores/{settings.main}/lower.parquet",
        baseline=f"results/{{run}}/scores/{settings.main}/lower-baseline.csv",
    log:
        "results/{run}/logs/compare_lower.log",
    benchmark:
        "results/{run}/benchmarks/compare_lower.tsv"
    params:
        bertscore=settings.scores.bertscore.model_dump(mode="json"),
        baseline=settings.lower.baseline,
        seed=settings.seed,
    threads: THREADS
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/compare_lower.py"


include: "lower_figures.smk"
