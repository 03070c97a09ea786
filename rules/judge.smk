"""Section 4.4, from abstract to concrete: the judge, and Figure 5. Figure 4 and appendix C: judge_pages.smk."""

from vitpeel.sources import PACKAGE

RUBRIC = settings.judge.kind == "rubric"
# What determines a language model's answers. The terms of asking it (cap, timeout, the file of replies ...) are not
# among the params, so that another one reruns nothing: the script reads them from the configuration.
ASKED = settings.judge.openai.model_dump(mode="json", include={"model", "calls", "detail", "reasoning"})
# Who is to judge what. The tables made from the scores have it among their params too: where the judge fails, its old
# scores are gone, but without that Snakemake would take the figures that were drawn from them for up to date.
JUDGE = {
    "kind": settings.judge.kind,
    "layers": list(settings.judge.layers),
    **({} if RUBRIC else {"asked": ASKED, "attempts": settings.judge.openai.attempts}),
}
PROMPT = os.path.relpath(PACKAGE / "judge/prompt.md")


FIGURES["fig5"] = figure("fig5")
if RUBRIC and (reason := not_for_the_rubric()):
    LEFT_OUT |= {"fig5": reason, "appendix_c": reason}


localrules:
    judge_captions,
    fig5_table,
    draw_fig5,


# Local: it asks over the network, which machines of a cluster often lack; the rubric takes a second.
rule judge_captions:
    message:
        f"Judge how concrete the captions of {settings.main} are ({'offline rubric' if RUBRIC else ASKED['model']})"
    input:
        captions=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        pictures=f"results/{{run}}/datasets/{settings.main}/{'pictures' if RUBRIC else 'files'}.parquet",
        prompt=[] if RUBRIC else PROMPT,
        # How the API is asked, as against what: no part of the answers.
        code=modules(
            "judge/judging",
            "judge_tables",
            "caption_tables",
            unused=[
                "judge/asking",
                "judge/batch",
                "judge/costs",
                "judge/faults",
                "judge/live",
                "judge/pacing",
            ],
        ),
    output:
        scores=f"results/{{run}}/scores/{settings.main}/judge.parquet",
    log:
        f"results/{{run}}/logs/judge_captions/{settings.main}.log",
    benchmark:
        f"results/{{run}}/benchmarks/judge_captions/{settings.main}.tsv"
    params:
        judge=JUDGE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/judge_captions.py"


rule fig5_table:
    message:
        "Gather Figure 5: the judge's scores over the layers"
    input:
        scores=f"results/{{run}}/scores/{settings.main}/judge.parquet",
        captions=f"results/{{run}}/captions/{settings.main}/layers.parquet",
        code=modules("judge_tables", "judge/judging", "tables"),
    output:
        curves="results/{run}/tables/fig5.csv",
        trends="results/{run}/tables/fig5-trends.csv",
    log:
        "results/{run}/logs/fig5_table.log",
    benchmark:
        "results/{run}/benchmarks/fig5_table.tsv"
    params:
        judge=JUDGE,
        ranges=[list(settings.figures.fig5.layers), list(settings.judge.layers)],
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/fig5_table.py"


rule draw_fig5:
    message:
        "Draw Figure 5: the judge's scores over the middle layers and over all"
    input:
        curves="results/{run}/tables/fig5.csv",
        trends="results/{run}/tables/fig5-trends.csv",
        code=modules("plots/fig5"),
    output:
        pdf="results/{run}/figures/fig5.pdf",
        png=report(
            "results/{run}/figures/fig5.png",
            caption="../report/fig5.rst",
            category="From abstract to concrete",
            labels={"figure": "5", "shows": "the judge's scores over the layers"},
        ),
    log:
        "results/{run}/logs/draw_fig5.log",
    benchmark:
        "results/{run}/benchmarks/draw_fig5.tsv"
    params:
        layers=list(settings.figures.fig5.layers),
        source=SOURCE,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_fig5.py"


include: "judge_pages.smk"
