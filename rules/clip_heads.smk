"""What the heads of the CLIP models contribute to a picture's embedding, which texts span that, how they are labelled."""

from vitpeel.sources import PACKAGE

CLIP = settings.clip
CLIP_SET = CLIP.dataset
CLIP_GPU = int(CLIP.device == "cuda")
CLIP_LOADED = CLIP.model_dump(mode="json", include={"dtype", "device"})
CLIP_TEXTS = settings.files_of(CLIP.descriptions)
# Of the labels: which words have which property, which mean the same, how a language model is asked.
CLIP_WORDS = [
    os.path.relpath(PACKAGE / "clip" / name)
    for name in ("properties.yaml", "synonyms.yaml", "labelling.md", "examples.yaml", "printed.yaml")
]
LABELLER = {
    "kind": CLIP.labels.kind,
    **(
        {}
        if CLIP.labels.kind == "lexicon"
        else {"asked": CLIP.labels.openai.model_dump(mode="json", include={"model", "reasoning"})}
    ),
}


wildcard_constraints:
    clip="|".join(map(re.escape, CLIP.models)),


localrules:
    label_heads,


rule capture_clip:
    message:
        f"Read what the heads of {{wildcards.clip}} contribute to {CLIP_SET} (shard {{wildcards.shard}})"
    input:
        pictures=f"results/{{run}}/datasets/{CLIP_SET}/files.parquet",
        checkpoint=clip_files,
        code=modules(
            "activations",
            "clip/feature_files",
            "clip/moments",
            "models/openclip",
            unused=["models/instructblip"],
        ),
    output:
        heads="results/{run}/clip/{clip}/heads-{shard}.safetensors",
        moments="results/{run}/clip/{clip}/moments-{shard}.safetensors",
    log:
        "results/{run}/logs/capture_clip/{clip}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/capture_clip/{clip}-{shard}.tsv"
    params:
        model=clip_model,
        layers=CLIP.layers,
        batch=settings.compute.picture_batch,
        files=pictures_of(CLIP_SET),
    threads: THREADS
    resources:
        gpu=CLIP_GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/capture_clip.py"


rule find_texts:
    message:
        "Find the texts that span what the heads of {wildcards.clip} contribute (TextSpan)"
    input:
        moments=expand("results/{{run}}/clip/{{clip}}/moments-{shard}.safetensors", shard=SHARDS),
        descriptions=CLIP_TEXTS,
        checkpoint=clip_files,
        code=modules(
            "clip/textspan",
            "caption_tables",
            "clip/feature_files",
            "clip/descriptions",
            "models/openclip",
            "tables",
            unused=["models/instructblip"],
        ),
    output:
        texts="results/{run}/clip/{clip}/texts.parquet",
    log:
        "results/{run}/logs/find_texts/{clip}.log",
    benchmark:
        "results/{run}/benchmarks/find_texts/{clip}.tsv"
    params:
        model=clip_model,
        descriptions=clip_descriptions,
        layers=CLIP.layers,
        picks=CLIP.model_dump(include={"texts", "rank"}),
    threads: THREADS
    resources:
        gpu=CLIP_GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/find_texts.py"


# Local: a language model is asked over the network, which machines of a cluster often lack; the lexicon takes a second.
rule label_heads:
    message:
        f"Label the heads of {{wildcards.clip}} ({LABELLER.get('asked', {}).get('model', 'offline lexicon')})"
    input:
        texts="results/{run}/clip/{clip}/texts.parquet",
        descriptions=CLIP_TEXTS,
        overrides=[] if CLIP.labels.overrides is None else CLIP.labels.overrides.as_posix(),
        words=CLIP_WORDS,
        # How the API is asked, as against what: no part of the labels.
        code=modules(
            "clip/labels", "clip/head_texts", "clip/descriptions", "caption_tables", unused=["judge/asking"]
        ),
    output:
        labels="results/{run}/clip/{clip}/labels.parquet",
    log:
        "results/{run}/logs/label_heads/{clip}.log",
    benchmark:
        "results/{run}/benchmarks/label_heads/{clip}.tsv"
    params:
        labeller=LABELLER,
        descriptions=clip_descriptions,
        texts=CLIP.texts,
        models=list(CLIP.models),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/label_heads.py"


include: "clip_head_figures.smk"
