"""Section 4: entanglement and association of every CLIP model, Tables 1 and 2."""

FIGURES["clip_tables"] = [*figure("clip-table1"), *figure("clip-table2"), *CLIP_HEADS]


localrules:
    clip_scores_table,
    draw_clip_table,


rule clip_scores_table:
    message:
        "Score how easily the heads of the CLIP models are told apart (entanglement, association)"
    input:
        labels=expand("results/{{run}}/clip/{clip}/labels.parquet", clip=CLIP.models),
        descriptions=CLIP_TEXTS,
        words=CLIP_WORDS,
        code=modules("clip/interpretability", "clip/chance", "clip/printed", "clip/descriptions", "tables"),
    output:
        table="results/{run}/tables/clip-scores.csv",
    log:
        "results/{run}/logs/clip_scores_table.log",
    benchmark:
        "results/{run}/benchmarks/clip_scores_table.tsv"
    params:
        labeller=LABELLER,
        descriptions=clip_descriptions,
        least=CLIP.least,
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/clip_scores_table.py"


rule draw_clip_table:
    message:
        "Draw Table {wildcards.number} of CLIP-InterpreT"
    input:
        table="results/{run}/tables/clip-scores.csv",
        index=f"results/{{run}}/datasets/{CLIP_SET}/files.parquet",
        code=modules("plots/clip_tables", "tables"),
    output:
        pdf="results/{run}/figures/clip-table{number}.pdf",
        png=report(
            "results/{run}/figures/clip-table{number}.png",
            caption="../report/clip_table.rst",
            category="CLIP-InterpreT",
            labels={"figure": "Table {number}", "shows": "entanglement (1), association (2)"},
        ),
    log:
        "results/{run}/logs/draw_clip_table/{number}.log",
    benchmark:
        "results/{run}/benchmarks/draw_clip_table/{number}.tsv"
    params:
        source=clip_sources,
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        number="1|2",
    script:
        "../scripts/draw_clip_table.py"
