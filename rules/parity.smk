"""The reference engine, LAVIS in an environment of its own, and how closely vitpeel agrees with it."""

LAVIS = ".venvs/lavis"
SUBSETS["parity"] = {"kind": "sample", "count": settings.parity.pictures}


localrules:
    lavis_environment,
    parity,


# Both rules write the layers' captions; the setting decides.
if settings.model.engine == "lavis":

    ruleorder: caption_layers_lavis > caption_layers

else:

    ruleorder: caption_layers > caption_layers_lavis


rule lavis_environment:
    message:
        "Build LAVIS's environment in {output.environment} (5 GB, once)"
    input:
        lock="envs/lavis.txt",
        code=modules("lavis/environment"),
    output:
        environment=directory(LAVIS),
    log:
        f"{RESULTS}/logs/lavis_environment.log",
    benchmark:
        f"{RESULTS}/benchmarks/lavis_environment.tsv"
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/lavis_environment.py"


rule caption_layers_lavis:
    message:
        f"Caption all {DEPTH} layers of {{wildcards.dataset}} with LAVIS (shard {{wildcards.shard}})"
    input:
        environment=LAVIS,
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        checkpoint=CHECKPOINT,
        code=modules("activations", "lavis/engine", "lavis/inside/__main__", "models/instructblip"),
    output:
        captions="results/{run}/captions/{dataset}/layers-{shard}.parquet",
    log:
        "results/{run}/logs/caption_layers_lavis/{dataset}-{shard}.log",
    benchmark:
        "results/{run}/benchmarks/caption_layers_lavis/{dataset}-{shard}.tsv"
    params:
        model=MODEL,
        reading=READING,
        decoding=settings.model.decoding.model_dump(mode="json"),
        picture_batch=settings.compute.picture_batch,
        files=picture_files,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/caption_layers_lavis.py"


rule compare_engines:
    message:
        f"Compare vitpeel with LAVIS on {settings.parity.pictures} pictures of {settings.main}"
    input:
        environment=LAVIS,
        pictures=f"{RESULTS}/datasets/{settings.main}/subsets/parity.parquet",
        checkpoint=CHECKPOINT,
        code=modules("lavis/engine", "lavis/inside/__main__", "lavis/parity"),
    output:
        table=f"{RESULTS}/tables/parity.csv",
    log:
        f"{RESULTS}/logs/compare_engines.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_engines.tsv"
    params:
        # half precision would hide what is compared
        model={**MODEL, "dtype": "float32"},
        reading={**READING, "qformer_dtype": "float32", "language_dtype": "float32"},
        decoding=settings.model.decoding.model_dump(mode="json"),
        tolerance=settings.parity.tolerance,
    threads: THREADS
    resources:
        gpu=GPU,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/compare_engines.py"


# A target of its own, not part of `all`: it needs a second environment.
rule parity:
    message:
        f"Do both engines agree? {RESULTS}/tables/parity.csv"
    input:
        table=f"{RESULTS}/tables/parity.csv",
        code=modules("lavis/parity"),
    log:
        f"{RESULTS}/logs/parity.log",
    benchmark:
        f"{RESULTS}/benchmarks/parity.tsv"
    params:
        tolerance=settings.parity.tolerance,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/parity.py"
