"""What perspectives.smk computes, side by side: what each layer is made of, and the three perspectives' changes."""

FIGURES |= {name: figure(name) for name in ("dataflow", "perspectives")}
if DEPTH < 3:
    LEFT_OUT["perspectives"] = (
        f"it compares changes from layer to layer, of which a model of {DEPTH} has too few (model.depth)."
    )


localrules:
    measure_changes,
    dataflow_table,
    draw_dataflow,
    perspectives_table,
    draw_perspectives,


rule measure_changes:
    message:
        "Measure how much each layer changes, as the three perspectives see it ({wildcards.dataset})"
    input:
        dataflow="results/{run}/activations/{dataset}/dataflow.parquet",
        attention=ATTENTION,
        heatmaps="results/{run}/activations/{dataset}/heatmaps.safetensors",
        rollout=ROLLOUT,
        scores="results/{run}/scores/{dataset}/change.parquet",
        code=modules("perspectives", "heatmap_files", "caption_tables"),
    output:
        changes="results/{run}/scores/{dataset}/changes.parquet",
    log:
        "results/{run}/logs/measure_changes/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/measure_changes/{dataset}.tsv"
    params:
        token=settings.perspectives.token,
        heatmap=HEATMAP,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/measure_changes.py"


rule dataflow_table:
    message:
        "Gather the data-flow figure: what each layer is made of"
    input:
        dataflow=f"results/{{run}}/activations/{settings.main}/dataflow.parquet",
        code=modules("perspective_tables", "tables"),
    output:
        table="results/{run}/tables/dataflow.csv",
    log:
        "results/{run}/logs/dataflow_table.log",
    benchmark:
        "results/{run}/benchmarks/dataflow_table.tsv"
    params:
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/dataflow_table.py"


rule draw_dataflow:
    message:
        "Draw what each layer is made of"
    input:
        table="results/{run}/tables/dataflow.csv",
        code=modules("plots/dataflow", "perspectives"),
    output:
        pdf="results/{run}/figures/dataflow.pdf",
        png=report(
            "results/{run}/figures/dataflow.png",
            caption="../report/dataflow.rst",
            category="Three perspectives",
            labels={"figure": "data flow", "shows": "what each layer is made of"},
        ),
    log:
        "results/{run}/logs/draw_dataflow.log",
    benchmark:
        "results/{run}/benchmarks/draw_dataflow.tsv"
    params:
        token=settings.perspectives.token,
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_dataflow.py"


rule perspectives_table:
    message:
        "Gather the figure of the three perspectives: changes, rank correlations, delta maps"
    input:
        changes=f"results/{{run}}/scores/{settings.main}/changes.parquet",
        heatmaps=f"results/{{run}}/activations/{settings.main}/heatmaps.safetensors",
        rollout=expand(ROLLOUT, dataset=settings.main, allow_missing=True),
        code=modules("perspectives", "perspective_tables", "tables", "heatmap_files"),
    output:
        curves="results/{run}/tables/perspectives.csv",
        correlations="results/{run}/tables/perspectives-correlations.csv",
        deltas="results/{run}/tables/perspectives-maps.csv",
    log:
        "results/{run}/logs/perspectives_table.log",
    benchmark:
        "results/{run}/benchmarks/perspectives_table.tsv"
    params:
        heatmap=HEATMAP,
        images=list(settings.figures.outliers.images),
        layers=list(settings.figures.outliers.layers),
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/perspectives_table.py"


rule draw_perspectives:
    message:
        "Draw the three perspectives side by side"
    input:
        curves="results/{run}/tables/perspectives.csv",
        correlations="results/{run}/tables/perspectives-correlations.csv",
        deltas="results/{run}/tables/perspectives-maps.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/perspectives", "plots/delta_maps", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/perspectives.pdf",
        png=report(
            "results/{run}/figures/perspectives.png",
            caption="../report/perspectives.rst",
            category="Three perspectives",
            labels={
                "figure": "perspectives",
                "shows": "the three perspectives' changes from layer to layer",
            },
        ),
    log:
        "results/{run}/logs/draw_perspectives.log",
    benchmark:
        "results/{run}/benchmarks/draw_perspectives.tsv"
    params:
        metric=settings.perspectives.language[0],
        token=settings.perspectives.token,
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_perspectives.py"
