"""Section 4.4, single heads and heads by mask: Figure 6, appendix D."""

HEADS_LAYER = settings.figures.fig6.layer
MASKS = [{layer: list(heads) for layer, heads in mask.items()} for mask in settings.heads.masks]
FIGURES |= {name: figure(name) for name in ("fig6", "appendix_d")}
SUBSETS["heads-shown"] = {"kind": "named", "images": list(settings.figures.fig6.images)}
EXPERIMENTS["single"] = "subsets/heads-shown"


localrules:
    fig6_table,
    draw_fig6,
    appendix_d_table,
    draw_appendix_d,


rule caption_single:
    message:
        f"Caption single heads of layer {HEADS_LAYER} and {len(MASKS)} masks (shard {{wildcards.shard}})"
    input:
        pictures="results/{run}/datasets/{dataset}/subsets/heads-shown.parquet",
        checkpoint=CHECKPOINT,
        code=modules("heads", "activations", "caption_tables", "models/instructblip", "tables"),
    output:
        captions="results/{run}/captions/{dataset}/single-{shard}.parquet",
    log:
        "results/{run}/logs/caption_single/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/caption_single/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        heads={"layer": HEADS_LAYER, "reading": settings.heads.reading, "masks": MASKS},
        picture_batch=settings.compute.picture_batch,
        caption_batch=settings.compute.caption_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_single.py"


rule fig6_table:
    message:
        f"Gather Figure 6: the heads of layer {HEADS_LAYER}"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/single.parquet",
        attention=[
            f"results/{{run}}/activations/{settings.main}/attention-{shard}.safetensors" for shard in SHARDS
        ],
        code=modules("heads", "heatmaps", "caption_tables", "tables"),
    output:
        captions="results/{run}/tables/fig6.csv",
        heatmaps="results/{run}/tables/fig6-heatmaps.csv",
    log:
        "results/{run}/logs/fig6_table.log",
    benchmark:
        "results/{run}/benchmarks/fig6_table.tsv"
    params:
        images=SUBSETS["heads-shown"]["images"],
        layer=HEADS_LAYER,
        reading=settings.heads.reading,
        outliers=settings.perspectives.outliers.model_dump(mode="json"),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/fig6_table.py"


rule draw_fig6:
    message:
        "Draw Figure 6: a page a picture"
    input:
        captions="results/{run}/tables/fig6.csv",
        heatmaps="results/{run}/tables/fig6-heatmaps.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/fig6", "datasets/pictures", "heatmaps", "tables"),
    output:
        pdf="results/{run}/figures/fig6.pdf",
        png=report(
            "results/{run}/figures/fig6.png",
            caption="../report/fig6.rst",
            category="Single heads",
            labels={"figure": "6", "shows": f"the heads of layer {HEADS_LAYER}"},
        ),
    log:
        "results/{run}/logs/draw_fig6.log",
    benchmark:
        "results/{run}/benchmarks/draw_fig6.tsv"
    params:
        source=SOURCE,
        outliers=settings.perspectives.outliers.model_dump(mode="json"),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_fig6.py"


rule appendix_d_table:
    message:
        f"Gather appendix D: {len(MASKS)} combinations of masked heads"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/single.parquet",
        code=modules("heads", "tables"),
    output:
        captions="results/{run}/tables/appendix_d.csv",
        masks="results/{run}/tables/appendix_d-masks.csv",
    log:
        "results/{run}/logs/appendix_d_table.log",
    benchmark:
        "results/{run}/benchmarks/appendix_d_table.tsv"
    params:
        images=SUBSETS["heads-shown"]["images"],
        masks=MASKS,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/appendix_d_table.py"


rule draw_appendix_d:
    message:
        "Draw appendix D: a page a picture"
    input:
        captions="results/{run}/tables/appendix_d.csv",
        masks="results/{run}/tables/appendix_d-masks.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/appendix_d", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/appendix_d.pdf",
        png=report(
            "results/{run}/figures/appendix_d.png",
            caption="../report/appendix_d.rst",
            category="Single heads",
            labels={"figure": "appendix D", "shows": "captions with heads masked"},
        ),
    log:
        "results/{run}/logs/draw_appendix_d.log",
    benchmark:
        "results/{run}/benchmarks/draw_appendix_d.tsv"
    params:
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_appendix_d.py"
