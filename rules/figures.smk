"""Pages of heatmaps: Figure 1 and appendix B (sections 3.4 and 3.5); heatmaps without their outlier tokens."""

# One pair of rules makes both: target -> settings, what the report calls it.
PAGES = {
    "fig1": (settings.figures.fig1, "1"),
    "appendix_b": (settings.figures.appendix_b, "appendix B"),
}
HEATMAPS = f"results/{{run}}/activations/{settings.main}/heatmaps.safetensors"
for page in [*PAGES, "outliers"]:
    FIGURES[page] = figure(page)


localrules:
    page_table,
    draw_page,
    outliers_table,
    draw_outliers,


rule page_table:
    message:
        "Gather {wildcards.page}: captions and heatmaps of {params.images}"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        heatmaps=HEATMAPS,
        code=modules("heatmap_files", "tables", "figure_tables"),
    output:
        captions="results/{run}/tables/{page}.csv",
        heatmaps="results/{run}/tables/{page}-heatmaps.csv",
    log:
        "results/{run}/logs/{page}_table.log",
    benchmark:
        "results/{run}/benchmarks/{page}_table.tsv"
    params:
        images=lambda wildcards: list(PAGES[wildcards.page][0].images),
        layers=lambda wildcards: list(PAGES[wildcards.page][0].layers),
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        page="|".join(PAGES),
    script:
        "../scripts/page_table.py"


rule draw_page:
    message:
        "Draw {wildcards.page}: a page a picture"
    input:
        captions="results/{run}/tables/{page}.csv",
        heatmaps="results/{run}/tables/{page}-heatmaps.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/fig1", "datasets/pictures", "heatmaps", "tables"),
    output:
        pdf="results/{run}/figures/{page}.pdf",
        png=report(
            "results/{run}/figures/{page}.png",
            caption="../report/fig1.rst",
            category="Layer by layer",
            labels=lambda wildcards: {
                "figure": PAGES[wildcards.page][1],
                "shows": "heatmap and caption of chosen layers",
            },
        ),
    log:
        "results/{run}/logs/draw_{page}.log",
    benchmark:
        "results/{run}/benchmarks/draw_{page}.tsv"
    params:
        outliers=OUTLIERS,
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        page="|".join(PAGES),
    script:
        "../scripts/draw_page.py"


rule outliers_table:
    message:
        "Count the outlier tokens of every layer, and gather heatmaps with and without them"
    input:
        heatmaps=HEATMAPS,
        code=modules("heatmap_files", "perspective_tables", "tables"),
    output:
        shares="results/{run}/tables/outliers.csv",
        maps="results/{run}/tables/outliers-maps.csv",
    log:
        "results/{run}/logs/outliers_table.log",
    benchmark:
        "results/{run}/benchmarks/outliers_table.tsv"
    params:
        images=list(settings.figures.outliers.images),
        layers=list(settings.figures.outliers.layers),
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/outliers_table.py"


rule draw_outliers:
    message:
        "Draw heatmaps with and without their outlier tokens"
    input:
        shares="results/{run}/tables/outliers.csv",
        maps="results/{run}/tables/outliers-maps.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/outliers", "datasets/pictures", "heatmaps", "tables"),
    output:
        pdf="results/{run}/figures/outliers.pdf",
        png=report(
            "results/{run}/figures/outliers.png",
            caption="../report/outliers.rst",
            category="Three perspectives",
            labels={"figure": "outliers", "shows": "heatmaps with and without outlier tokens"},
        ),
    log:
        "results/{run}/logs/draw_outliers.log",
    benchmark:
        "results/{run}/benchmarks/draw_outliers.tsv"
    params:
        images=list(settings.figures.outliers.images),
        outliers=OUTLIERS,
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_outliers.py"
