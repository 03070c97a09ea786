"""Figure 2 and appendix A: what the captions of lower.smk show."""

FIGURES["fig2"] = figure("fig2")
FIGURES["appendix_a"] = figure("appendix_a")


localrules:
    fig2_table,
    draw_fig2,
    appendix_a_table,
    draw_appendix_a,


rule fig2_table:
    message:
        "Gather Figure 2: what averaging and confusing the lower layers does to the captions"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/lower.parquet",
        scores=f"results/{{run}}/scores/{settings.main}/lower.parquet",
        baseline=f"results/{{run}}/scores/{settings.main}/lower-baseline.csv",
        code=modules(
            "lower", "lower_tables", "scores/bootstrap", "tables", unused=["means", "scores/bertscore"]
        ),
    output:
        table="results/{run}/tables/fig2.csv",
        contrasts="results/{run}/tables/fig2-contrasts.csv",
    log:
        "results/{run}/logs/fig2_table.log",
    benchmark:
        "results/{run}/benchmarks/fig2_table.tsv"
    params:
        points=POINTS,
        dataset=settings.main,
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/fig2_table.py"


rule draw_fig2:
    message:
        "Draw Figure 2: BERTScore and exact matches over the lower layers"
    input:
        table="results/{run}/tables/fig2.csv",
        contrasts="results/{run}/tables/fig2-contrasts.csv",
        code=modules("plots/fig2"),
    output:
        pdf="results/{run}/figures/fig2.pdf",
        png=report(
            "results/{run}/figures/fig2.png",
            caption="../report/fig2.rst",
            category="Lower layers",
            labels={"figure": "2", "shows": "captions under averaged and confused layers"},
        ),
    log:
        "results/{run}/logs/draw_fig2.log",
    benchmark:
        "results/{run}/benchmarks/draw_fig2.tsv"
    params:
        source=SOURCE,
        meaning={
            **MEANS,
            "means_from": settings.lower.means_from,
            "main": settings.main,
            "other": settings.lower.other,
        },
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_fig2.py"


rule appendix_a_table:
    message:
        "Gather appendix A: captions of {params.images} under edits, and wording without colours"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/lower.parquet",
        scores=f"results/{{run}}/scores/{settings.main}/lower.parquet",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules(
            "lower", "lower_tables", "datasets/pictures", "tables", unused=["means", "scores/bertscore"]
        ),
    output:
        cases="results/{run}/tables/appendix_a.csv",
        wording="results/{run}/tables/appendix_a-wording.csv",
    log:
        "results/{run}/logs/appendix_a_table.log",
    benchmark:
        "results/{run}/benchmarks/appendix_a_table.tsv"
    params:
        images=list(settings.figures.appendix_a),
        points=POINTS,
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/appendix_a_table.py"


rule draw_appendix_a:
    message:
        "Draw appendix A: wording without colours, then a page a picture"
    input:
        cases="results/{run}/tables/appendix_a.csv",
        wording="results/{run}/tables/appendix_a-wording.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/appendix_a", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/appendix_a.pdf",
        png=report(
            "results/{run}/figures/appendix_a.png",
            caption="../report/appendix_a.rst",
            category="Lower layers",
            labels={"figure": "Appendix A", "shows": "captions of the edited model"},
        ),
    log:
        "results/{run}/logs/draw_appendix_a.log",
    benchmark:
        "results/{run}/benchmarks/draw_appendix_a.tsv"
    params:
        source=SOURCE,
        other=settings.lower.other,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_appendix_a.py"
