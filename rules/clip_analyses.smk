"""Section 5: the index that neighbours are searched in, the queries of clip.analyses, and their figures."""

ANALYSES = CLIP.analyses
SUBSETS["clip-asked"] = {"kind": "named", "images": list(asked_of_clip())}
# The application searches every model.
FIGURES["clip_figures"] = [
    *(
        file
        for name in ("property", "topic", "contrast", "picture", "text")
        for file in figure(f"clip-{name}")
    ),
    *expand(f"{RESULTS}/clip/{{clip}}/index.safetensors", clip=CLIP.models),
]


localrules:
    draw_clip_neighbours,
    draw_clip_maps,


rule index_clip:
    message:
        f"Index what the heads of {{wildcards.clip}} contribute to {CLIP_SET}"
    input:
        heads=expand("results/{{run}}/clip/{{clip}}/heads-{shard}.safetensors", shard=SHARDS),
        moments=f"results/{{run}}/clip/{{clip}}/moments-{SHARDS[0]}.safetensors",
        labels="results/{run}/clip/{clip}/labels.parquet",
        code=modules("clip/neighbours", "clip/moments", "clip/head_places", "tables"),
    output:
        index="results/{run}/clip/{clip}/index.safetensors",
    log:
        "results/{run}/logs/index_clip/{clip}.log",
    benchmark:
        "results/{run}/benchmarks/index_clip/{clip}.tsv"
    params:
        batch=settings.compute.picture_batch,
    threads: THREADS
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/index_clip.py"


rule analyse_clip:
    message:
        f"Ask {ANALYSES.model}: nearest pictures, by property, head and text; where heads see a text"
    input:
        index=f"results/{{run}}/clip/{ANALYSES.model}/index.safetensors",
        labels=f"results/{{run}}/clip/{ANALYSES.model}/labels.parquet",
        pictures=f"results/{{run}}/datasets/{settings.main}/subsets/clip-asked.parquet",
        checkpoint=settings.files_of(CLIP.models[ANALYSES.model]),
        code=modules(
            "clip/queries",
            "clip/map_files",
            "clip/neighbours",
            "models/openclip",
            "tables",
            unused=["models/instructblip"],
        ),
    output:
        neighbours="results/{run}/tables/clip-neighbours.csv",
        table="results/{run}/tables/clip-maps.csv",
        maps=f"results/{{run}}/clip/{ANALYSES.model}/maps.safetensors",
    log:
        "results/{run}/logs/analyse_clip.log",
    benchmark:
        "results/{run}/benchmarks/analyse_clip.tsv"
    params:
        model={"name": ANALYSES.model, "checkpoint": CLIP.models[ANALYSES.model].as_posix(), **CLIP_LOADED},
        layers=CLIP.layers,
        asked=ANALYSES.model_dump(mode="json"),
        same_set=settings.main == CLIP_SET,
        files=pictures_of(settings.main),
    threads: THREADS
    resources:
        gpu=CLIP_GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/analyse_clip.py"


rule draw_clip_neighbours:
    message:
        "Draw the neighbours found by {wildcards.analysis}"
    input:
        table="results/{run}/tables/clip-neighbours.csv",
        asked=f"results/{{run}}/datasets/{settings.main}/subsets/clip-asked.parquet",
        found=f"results/{{run}}/datasets/{CLIP_SET}/files.parquet",
        code=modules("plots/clip_neighbours", "datasets/pictures", "tables"),
    output:
        pdf="results/{run}/figures/clip-{analysis}.pdf",
        png=report(
            "results/{run}/figures/clip-{analysis}.png",
            caption="../report/clip_neighbours.rst",
            category="CLIP-InterpreT",
            labels={"figure": "neighbours by {analysis}", "shows": "the nearest pictures"},
        ),
    log:
        "results/{run}/logs/draw_clip_neighbours/{analysis}.log",
    benchmark:
        "results/{run}/benchmarks/draw_clip_neighbours/{analysis}.tsv"
    params:
        source=source_of(CLIP.models[ANALYSES.model]),
        files=[pictures_of(settings.main), pictures_of(CLIP_SET)],
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        analysis="property|picture|text",
    script:
        "../scripts/draw_clip_neighbours.py"


rule draw_clip_maps:
    message:
        "Draw the maps of {wildcards.analysis} segmentation"
    input:
        table="results/{run}/tables/clip-maps.csv",
        maps=f"results/{{run}}/clip/{ANALYSES.model}/maps.safetensors",
        code=modules("plots/clip_segmentation", "clip/map_files"),
    output:
        pdf="results/{run}/figures/clip-{analysis}.pdf",
        png=report(
            "results/{run}/figures/clip-{analysis}.png",
            caption="../report/clip_maps.rst",
            category="CLIP-InterpreT",
            labels={"figure": "{analysis} segmentation", "shows": "where heads see a text"},
        ),
    log:
        "results/{run}/logs/draw_clip_maps/{analysis}.log",
    benchmark:
        "results/{run}/benchmarks/draw_clip_maps/{analysis}.tsv"
    params:
        source=source_of(CLIP.models[ANALYSES.model]),
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        analysis="topic|contrast",
    script:
        "../scripts/draw_clip_maps.py"
