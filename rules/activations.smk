"""What every layer holds: residual tokens and CLS attention (sections 3.3 and 3.4)."""


rule capture:
    message:
        f"Run {{wildcards.dataset}} through the {DEPTH} layers (shard {{wildcards.shard}})"
    input:
        # An edited caption changes the table but no picture; `files` below says whether a picture changed.
        pictures=ancient("results/{run}/datasets/{dataset}/pictures.parquet"),
        checkpoint=CHECKPOINT,
        # The captioner is loaded with the trunk and not run.
        code=modules("activations", "datasets/folder", "models/instructblip", unused=["captioner", "decoding", "t5"]),
    output:
        attention="results/{run}/activations/{dataset}/attention-{shard}.safetensors",
        **(
            {"residuals": "results/{run}/activations/{dataset}/residuals-{shard}.safetensors"}
            if settings.compute.cache_residuals
            else {}
        ),
    log:
        "results/{run}/logs/capture/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/capture/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        batch=settings.compute.picture_batch,
        files=picture_files,
        limit=lambda wildcards: settings.datasets[wildcards.dataset].limit,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/capture.py"
