"""What every layer holds: residual tokens and CLS attention (sections 3.3 and 3.4)."""


rule capture:
    message:
        f"Run {{wildcards.dataset}} through the {DEPTH} layers (shard {{wildcards.shard}})"
    input:
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        checkpoint=CHECKPOINT,
        # The captioner is loaded with the trunk and not run.
        code=modules(
            "activations",
            "models/instructblip",
            unused=["captioner", "decoding", "models/t5", "t5"],
        ),
    output:
        **(
            {"residuals": "results/{run}/activations/{dataset}/residuals-{shard}.safetensors"}
            if settings.compute.cache_residuals
            else {}
        ),
        attention="results/{run}/activations/{dataset}/attention-{shard}.safetensors",
    log:
        "results/{run}/logs/capture/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/capture/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        batch=settings.compute.picture_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/capture.py"
