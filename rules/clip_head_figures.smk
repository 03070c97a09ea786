"""What the heads of every CLIP model are labelled, a page a model."""

CLIP_HEADS = [file for name in CLIP.models for file in figure(f"clip-heads-{name}")]


localrules:
    clip_heads_table,
    draw_clip_heads,


rule clip_heads_table:
    message:
        "Gather the labels of the heads of {wildcards.clip}"
    input:
        labels="results/{run}/clip/{clip}/labels.parquet",
        texts="results/{run}/clip/{clip}/texts.parquet",
        code=modules("clip/labels", "tables"),
    output:
        table="results/{run}/tables/clip-heads-{clip}.csv",
    log:
        "results/{run}/logs/clip_heads_table/{clip}.log",
    benchmark:
        "results/{run}/benchmarks/clip_heads_table/{clip}.tsv"
    params:
        labeller=LABELLER,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/clip_heads_table.py"


rule draw_clip_heads:
    message:
        "Draw the labels of the heads of {wildcards.clip}"
    input:
        table="results/{run}/tables/clip-heads-{clip}.csv",
        index=f"results/{{run}}/datasets/{CLIP_SET}/files.parquet",
        code=modules("plots/clip_heads", "tables"),
    output:
        pdf="results/{run}/figures/clip-heads-{clip}.pdf",
        png=report(
            "results/{run}/figures/clip-heads-{clip}.png",
            caption="../report/clip_heads.rst",
            category="CLIP-InterpreT",
            labels={"figure": "heads of {clip}", "shows": "the property each head is labelled by"},
        ),
    log:
        "results/{run}/logs/draw_clip_heads/{clip}.log",
    benchmark:
        "results/{run}/benchmarks/draw_clip_heads/{clip}.tsv"
    params:
        source=clip_source,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/draw_clip_heads.py"
