"""Section 4.4, Algorithm 1: which heads are pruned. What that changes is in table1.smk."""

FIRST, LAST = settings.pruning.layers
# Algorithm 1 scores the heads on a sample; Table 1 is about the other pictures.
SUBSETS["pruning-sample"] = {"kind": "sample", "count": settings.pruning.sample}
SUBSETS["pruning-rest"] = {"kind": "rest", "count": settings.pruning.sample}
EXPERIMENTS["heads"] = "subsets/pruning-sample"
EXPERIMENTS["pruned"] = "subsets/pruning-rest"
BERTSCORE = settings.scores.bertscore.model_dump(mode="json")
SCORED_HEADS = {"layers": list(range(FIRST, LAST + 1)), "reading": settings.pruning.reading}
SELECTED_BY = {"lowest": "count", "threshold": "threshold"}[settings.pruning.select]
CHOSEN_BY = {"temperature", "coefficients", "select", SELECTED_BY}
CHOICES = settings.pruning.model_dump(mode="json", include=CHOSEN_BY)


# Greedily, a layer's heads are scored once those of the layers before it are pruned: one job, over the whole sample.
if settings.pruning.order == "greedy":

    ruleorder: caption_heads_greedily > merge_captions

else:

    ruleorder: merge_captions > caption_heads_greedily


rule caption_heads:
    message:
        f"Caption every head of layers {FIRST} to {LAST} of the sample (shard {{wildcards.shard}})"
    input:
        pictures="results/{run}/datasets/{dataset}/subsets/pruning-sample.parquet",
        checkpoint=CHECKPOINT,
        code=modules("activations", "caption_tables", "models/instructblip", "pruning"),
    output:
        captions="results/{run}/captions/{dataset}/heads-{shard}.parquet",
    log:
        "results/{run}/logs/caption_heads/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/caption_heads/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        heads=SCORED_HEADS,
        picture_batch=settings.compute.picture_batch,
        caption_batch=settings.compute.caption_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_heads.py"


rule caption_heads_greedily:
    message:
        f"Caption every head of layers {FIRST} to {LAST} of the sample, pruning from layer to layer"
    input:
        pictures="results/{run}/datasets/{dataset}/subsets/pruning-sample.parquet",
        checkpoint=CHECKPOINT,
        model=BERTSCORE_MODEL,
        code=modules("activations", "caption_tables", "models/instructblip", "pruning", "scores/bertscore"),
    output:
        captions="results/{run}/captions/{dataset}/heads.parquet",
    log:
        "results/{run}/logs/caption_heads_greedily/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/caption_heads_greedily/{dataset}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        heads=SCORED_HEADS,
        greedy={"bertscore": BERTSCORE, "choices": CHOICES},
        picture_batch=settings.compute.picture_batch,
        caption_batch=settings.compute.caption_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_heads_greedily.py"


rule score_heads:
    message:
        "Score what each head says, and choose the heads that are pruned"
    input:
        captions="results/{run}/captions/{dataset}/heads.parquet",
        model=BERTSCORE_MODEL,
        code=modules("caption_tables", "pruning", "scores/bertscore"),
    output:
        scores="results/{run}/scores/{dataset}/heads.parquet",
        plan="results/{run}/tables/{dataset}/pruning.parquet",
    log:
        "results/{run}/logs/score_heads/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/score_heads/{dataset}.tsv"
    params:
        bertscore=BERTSCORE,
        choices=CHOICES,
    threads: THREADS
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/score_heads.py"


include: "table1.smk"
