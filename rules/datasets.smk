"""Pictures and captions in."""


localrules:
    index_pictures,
    add_references,
    choose_pictures,


rule index_pictures:
    message:
        "Check the pictures of {wildcards.dataset}"
    input:
        code=modules("datasets/folder", "tables"),
    output:
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        skipped="results/{run}/datasets/{dataset}/skipped.csv",
    log:
        "results/{run}/logs/index_pictures/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/index_pictures/{dataset}.tsv"
    params:
        dataset=lambda wildcards: settings.datasets[wildcards.dataset].model_dump(
            mode="json", exclude={"captions"}
        ),
        files=picture_files,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/index_pictures.py"


# A rule of its own, so that an edited caption reruns the scores and not the model.
rule add_references:
    message:
        "Add the references to the pictures of {wildcards.dataset}"
    input:
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        captions=lambda wildcards: settings.datasets[wildcards.dataset].captions or [],
        code=modules("datasets/folder", "tables"),
    output:
        pictures="results/{run}/datasets/{dataset}/pictures.parquet",
    log:
        "results/{run}/logs/add_references/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/add_references/{dataset}.tsv"
    params:
        folder=lambda wildcards: str(settings.datasets[wildcards.dataset].path),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/add_references.py"


rule choose_pictures:
    message:
        "List the {wildcards.subset} pictures of {wildcards.dataset}"
    input:
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        code=modules("datasets/subsets", "tables"),
    output:
        chosen="results/{run}/datasets/{dataset}/subsets/{subset}.parquet",
    log:
        "results/{run}/logs/choose_pictures/{dataset}-{subset}.log",
    benchmark:
        "results/{run}/benchmarks/choose_pictures/{dataset}-{subset}.tsv"
    params:
        subset=lambda wildcards: SUBSETS[wildcards.subset],
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/choose_pictures.py"
