"""Section 4.4, the judge page by page: Figure 4, what it is asked, and appendix C, what it says."""

FIGURES["fig4"] = figure("fig4")
FIGURES["appendix_c"] = figure("appendix_c")


localrules:
    fig4_prompt,
    draw_fig4,
    appendix_c_table,
    draw_appendix_c,


rule fig4_prompt:
    message:
        "Write down the judge's question about picture {params.image}"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        pictures=f"results/{{run}}/datasets/{settings.main}/files.parquet",
        prompt=PROMPT,
        code=modules("judge_tables", "datasets/pictures", "atomic", "tables"),
    output:
        text="results/{run}/tables/fig4.txt",
    log:
        "results/{run}/logs/fig4_prompt.log",
    benchmark:
        "results/{run}/benchmarks/fig4_prompt.tsv"
    params:
        image=settings.figures.appendix_c.images[0],
        layers=list(settings.judge.layers),
        calls=ASKED["calls"],
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/fig4_prompt.py"


rule draw_fig4:
    message:
        "Draw Figure 4: the judge's question"
    input:
        text="results/{run}/tables/fig4.txt",
        pictures=f"results/{{run}}/datasets/{settings.main}/files.parquet",
        code=modules("plots/fig4", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/fig4.pdf",
        png=report(
            "results/{run}/figures/fig4.png",
            caption="../report/fig4.rst",
            category="From abstract to concrete",
            labels={"figure": "4", "shows": "what a language model that judges is sent"},
        ),
    log:
        "results/{run}/logs/draw_fig4.log",
    benchmark:
        "results/{run}/benchmarks/draw_fig4.tsv"
    params:
        question={
            **ASKED,
            "image_id": settings.figures.appendix_c.images[0],
            "layers": list(settings.judge.layers),
            "answered": not RUBRIC,
        },
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_fig4.py"


rule appendix_c_table:
    message:
        "Gather appendix C: captions and scores of {params.images}"
    input:
        scores=f"results/{{run}}/scores/{settings.main}/judge.parquet",
        captions=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        code=modules("judge_tables", "judge/judging", "tables"),
    output:
        table="results/{run}/tables/appendix_c.csv",
    log:
        "results/{run}/logs/appendix_c_table.log",
    benchmark:
        "results/{run}/benchmarks/appendix_c_table.tsv"
    params:
        judge=JUDGE,
        images=list(settings.figures.appendix_c.images),
        layers=list(settings.figures.appendix_c.layers),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/appendix_c_table.py"


rule draw_appendix_c:
    message:
        "Draw appendix C: a page a picture"
    input:
        table="results/{run}/tables/appendix_c.csv",
        pictures=f"results/{{run}}/datasets/{settings.main}/pictures.parquet",
        code=modules("plots/appendix_c", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/appendix_c.pdf",
        png=report(
            "results/{run}/figures/appendix_c.png",
            caption="../report/appendix_c.rst",
            category="From abstract to concrete",
            labels={"figure": "C", "shows": "captions of chosen layers with the judge's scores"},
        ),
    log:
        "results/{run}/logs/draw_appendix_c.log",
    benchmark:
        "results/{run}/benchmarks/draw_appendix_c.tsv"
    params:
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_appendix_c.py"
