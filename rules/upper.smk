"""Section 4.3, the upper layers as storytellers: Figure 3."""

METRIC = settings.figures.fig3.metric
# The table of scores that Figure 3 is drawn from; `references` needs captions that people wrote.
FIG3_SCORES = "bertscore" if METRIC == "bertscore" else "references"
FIGURES["fig3"] = figure("fig3")
if not settings.has_references and FIG3_SCORES == "references":
    LEFT_OUT["fig3"] = (
        f"Figure 3 shows {METRIC}, which needs references, and datasets.{settings.main}.captions is null. "
        "Name a captions file, or draw BERTScore (figures.fig3.metric: bertscore)."
    )


localrules:
    plateau_table,
    fig3_table,
    draw_fig3,


rule plateau_table:
    message:
        f"Compare every layer with every later one: where does {METRIC} reach its plateau?"
    input:
        scores=f"results/{{run}}/scores/{settings.main}/{FIG3_SCORES}.parquet",
        code=modules("scores/plateau", "tables"),
    output:
        table="results/{run}/tables/plateau.csv",
    log:
        "results/{run}/logs/plateau_table.log",
    benchmark:
        "results/{run}/benchmarks/plateau_table.tsv"
    params:
        metric=METRIC,
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/plateau_table.py"


rule fig3_table:
    message:
        f"Gather Figure 3: {METRIC} of every layer"
    input:
        summary=f"results/{{run}}/tables/{settings.main}/summary.parquet",
        scores=f"results/{{run}}/scores/{settings.main}/{FIG3_SCORES}.parquet",
        code=modules("scores/bootstrap", "tables", "figure_tables"),
    output:
        table="results/{run}/tables/fig3.csv",
    log:
        "results/{run}/logs/fig3_table.log",
    benchmark:
        "results/{run}/benchmarks/fig3_table.tsv"
    params:
        metric=METRIC,
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/fig3_table.py"


rule draw_fig3:
    message:
        f"Draw Figure 3: {METRIC} over the upper layers and over all"
    input:
        table="results/{run}/tables/fig3.csv",
        plateau="results/{run}/tables/plateau.csv",
        code=modules("plots/fig3"),
    output:
        pdf="results/{run}/figures/fig3.pdf",
        png=report(
            "results/{run}/figures/fig3.png",
            caption="../report/fig3.rst",
            category="Layer by layer",
            labels={"figure": "3", "shows": f"{METRIC} over the layers, and its plateau"},
        ),
    log:
        "results/{run}/logs/draw_fig3.log",
    benchmark:
        "results/{run}/benchmarks/draw_fig3.tsv"
    params:
        layers=list(settings.figures.fig3.layers),
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_fig3.py"
