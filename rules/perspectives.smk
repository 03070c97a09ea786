"""Sections 3.3 to 3.5: what each layer adds, where it looks, how these and its caption change."""

# How Equation 7 is read where layers are compared; a rollout needs the attention of every token, hence the model.
HEATMAP = settings.perspectives.heatmap
OUTLIERS = settings.perspectives.outliers.model_dump(mode="json")
ATTENTION = expand("results/{{run}}/activations/{{dataset}}/attention-{shard}.safetensors", shard=SHARDS)
ROLLOUT = (
    expand("results/{{run}}/activations/{{dataset}}/rollout-{shard}.safetensors", shard=SHARDS)
    if HEATMAP == "rollout"
    else []
)


localrules:
    merge_dataflow,


rule decompose:
    message:
        f"Take apart what the {DEPTH} layers add to {{wildcards.dataset}} (shard {{wildcards.shard}})"
    input:
        residuals=(
            "results/{run}/activations/{dataset}/residuals-{shard}.safetensors"
            if settings.compute.cache_residuals
            else []
        ),
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        checkpoint=CHECKPOINT,
        # The captioner is loaded with the trunk and not run.
        code=modules(
            "dataflow",
            "activations",
            "models/instructblip",
            unused=["captioner", "decoding", "models/t5", "t5"],
        ),
    output:
        **(
            {"rollout": "results/{run}/activations/{dataset}/rollout-{shard}.safetensors"}
            if HEATMAP == "rollout"
            else {}
        ),
        dataflow="results/{run}/activations/{dataset}/dataflow-{shard}.parquet",
    log:
        "results/{run}/logs/decompose/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/decompose/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        token=settings.perspectives.token,
        bias=settings.perspectives.bias,
        batch=settings.compute.picture_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/decompose.py"


rule merge_dataflow:
    message:
        "Put what the layers add to {wildcards.dataset} into one table"
    input:
        shards=expand(
            "results/{{run}}/activations/{{dataset}}/dataflow-{shard}.parquet",
            shard=SHARDS,
        ),
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        code=modules("tables"),
    output:
        dataflow="results/{run}/activations/{dataset}/dataflow.parquet",
    log:
        "results/{run}/logs/merge_dataflow/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/merge_dataflow/{dataset}.tsv"
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/merge_dataflow.py"


rule read_heatmaps:
    message:
        "Read where every layer looks off the attention of {wildcards.dataset}"
    input:
        attention=ATTENTION,
        code=modules("heatmap_files"),
    output:
        heatmaps="results/{run}/activations/{dataset}/heatmaps.safetensors",
    log:
        "results/{run}/logs/read_heatmaps/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/read_heatmaps/{dataset}.tsv"
    params:
        outliers=OUTLIERS,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/read_heatmaps.py"


rule score_change:
    message:
        "Score the captions of {wildcards.dataset} against those of the layer before"
    input:
        captions="results/{run}/captions/{dataset}/layers.parquet",
        model=BERTSCORE_MODEL if "bertscore" in settings.perspectives.language else [],
        code=modules("scores/change", "caption_tables"),
    output:
        scores="results/{run}/scores/{dataset}/change.parquet",
    log:
        "results/{run}/logs/score_change/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/score_change/{dataset}.tsv"
    params:
        metrics=list(settings.perspectives.language),
        bertscore=settings.scores.bertscore.model_dump(mode="json"),
    threads: THREADS
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/score_change.py"


include: "perspective_figures.smk"
