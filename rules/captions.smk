"""What every layer says (section 3.5)."""


localrules:
    merge_captions,


rule caption_layers:
    message:
        f"Caption all {DEPTH} layers of {{wildcards.dataset}} (shard {{wildcards.shard}})"
    input:
        residuals=(
            "results/{run}/activations/{dataset}/residuals-{shard}.safetensors"
            if settings.compute.cache_residuals
            else []
        ),
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        checkpoint=CHECKPOINT,
        code=modules("activations", "caption_tables", "models/instructblip"),
    output:
        captions="results/{run}/captions/{dataset}/layers-{shard}.parquet",
    log:
        "results/{run}/logs/caption_layers/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/caption_layers/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        picture_batch=settings.compute.picture_batch,
        caption_batch=settings.compute.caption_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_layers.py"


rule merge_captions:
    message:
        "Put the captions of {wildcards.dataset} into one table ({wildcards.experiment})"
    input:
        shards=expand(
            "results/{{run}}/captions/{{dataset}}/{{experiment}}-{shard}.parquet",
            shard=SHARDS,
        ),
        pictures=captioned_pictures,
        code=modules("tables"),
    output:
        captions="results/{run}/captions/{dataset}/{experiment}.parquet",
    log:
        "results/{run}/logs/merge_captions/{dataset}-{experiment}.log",
    benchmark:
        "results/{run}/benchmarks/merge_captions/{dataset}-{experiment}.tsv"
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/merge_captions.py"
