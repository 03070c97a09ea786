"""Section 4.4, Table 1: the pruned model beside the unedited one and beside random pruning."""

FIGURES["table1"] = [f"{RESULTS}/tables/table1.csv", *figure("table1")]
if not settings.has_references:
    LEFT_OUT["table1"] = (
        f"Table 1 shows CIDEr, which needs references, and datasets.{settings.main}.captions is null. Name a "
        "captions file."
    )
CONVERGENCE = {"rule": settings.pruning.convergence.rule}
if settings.pruning.convergence.rule == "bertscore":
    CONVERGENCE |= {"threshold": settings.pruning.convergence.threshold, "bertscore": BERTSCORE}


localrules:
    draw_table1,


rule caption_pruned:
    message:
        "Caption the other pictures by the pruned models (shard {wildcards.shard})"
    input:
        pictures="results/{run}/datasets/{dataset}/subsets/pruning-rest.parquet",
        plan="results/{run}/tables/{dataset}/pruning.parquet",
        checkpoint=CHECKPOINT,
        code=modules("activations", "caption_tables", "models/instructblip", "pruning"),
    output:
        captions="results/{run}/captions/{dataset}/pruned-{shard}.parquet",
    log:
        "results/{run}/logs/caption_pruned/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/caption_pruned/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        random={"draws": settings.pruning.random_draws, "seed": settings.seed},
        picture_batch=settings.compute.picture_batch,
        caption_batch=settings.compute.caption_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_pruned.py"


rule evaluate_pruning:
    message:
        "Gather Table 1: CIDEr and convergence layer before and after pruning"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/pruned.parquet",
        layers=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        plan=f"results/{{run}}/tables/{settings.main}/pruning.parquet",
        scores=f"results/{{run}}/scores/{settings.main}/heads.parquet",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        model=BERTSCORE_MODEL if CONVERGENCE["rule"] == "bertscore" else [],
        code=modules("caption_tables", "pruning_tables", "scores/bertscore"),
    output:
        scores=f"results/{{run}}/scores/{settings.main}/pruned.parquet",
        table="results/{run}/tables/table1.csv",
        heads="results/{run}/tables/table1-heads.csv",
    log:
        "results/{run}/logs/evaluate_pruning.log",
    benchmark:
        "results/{run}/benchmarks/evaluate_pruning.tsv"
    params:
        checkpoint=MODEL["checkpoint"],
        scored={"metrics": list(settings.scores.references), **CONVERGENCE},
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    threads: THREADS
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/evaluate_pruning.py"


rule draw_table1:
    message:
        "Draw Table 1 and the scores of the heads"
    input:
        table="results/{run}/tables/table1.csv",
        heads="results/{run}/tables/table1-heads.csv",
        code=modules("plots/table1"),
    output:
        pdf="results/{run}/figures/table1.pdf",
        png=report(
            "results/{run}/figures/table1.png",
            caption="../report/table1.rst",
            category="Single heads",
            labels={"figure": "Table 1", "shows": "pruned heads"},
        ),
    log:
        "results/{run}/logs/draw_table1.log",
    benchmark:
        "results/{run}/benchmarks/draw_table1.tsv"
    params:
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_table1.py"
