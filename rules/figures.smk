"""Figures across sections. Figure 1: a picture, where its layers look, what they say (sections 3.4 and 3.5)."""

FIGURES["fig1"] = figure("fig1")


localrules:
    fig1_table,
    draw_fig1,


rule fig1_table:
    message:
        "Gather Figure 1: captions and heatmaps of {params.images}"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        attention=expand(
            "results/{{run}}/activations/{dataset}/attention-{shard}.safetensors",
            dataset=settings.main,
            shard=SHARDS,
        ),
        code=modules("activations", "heatmaps", "tables", "figure_tables"),
    output:
        captions="results/{run}/tables/fig1.csv",
        heatmaps="results/{run}/tables/fig1-heatmaps.csv",
    log:
        "results/{run}/logs/fig1_table.log",
    benchmark:
        "results/{run}/benchmarks/fig1_table.tsv"
    params:
        images=list(settings.figures.fig1.images),
        layers=list(settings.figures.fig1.layers),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/fig1_table.py"


rule draw_fig1:
    message:
        "Draw Figure 1: a page a picture"
    input:
        captions="results/{run}/tables/fig1.csv",
        heatmaps="results/{run}/tables/fig1-heatmaps.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/fig1", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/fig1.pdf",
        png=report(
            "results/{run}/figures/fig1.png",
            caption="../report/fig1.rst",
            category="Layer by layer",
            labels={"figure": "1", "shows": "heatmap and caption of chosen layers"},
        ),
    log:
        "results/{run}/logs/draw_fig1.log",
    benchmark:
        "results/{run}/benchmarks/draw_fig1.tsv"
    params:
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_fig1.py"
