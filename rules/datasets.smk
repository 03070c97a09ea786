"""Pictures and captions in."""


localrules:
    unpack_whoops,
    unpack_imagenet,
    index_pictures,
    add_references,
    choose_pictures,


# Unpacked for every run: the cache holds nothing but what was downloaded, and nobody's pictures are replaced.
rule unpack_whoops:
    message:
        "Unpack the pictures and captions of {wildcards.dataset}"
    input:
        receipt=f"{settings.cache}/datasets/whoops.json",
        code=modules("datasets/whoops"),
    output:
        pictures=directory("results/{run}/datasets/{dataset}/pictures"),
        listed="results/{run}/datasets/{dataset}/listed.csv",
        captions=expand("results/{{run}}/datasets/{{dataset}}/{column}.csv", column=WHOOPS_CAPTIONS),
    log:
        "results/{run}/logs/unpack_whoops/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/unpack_whoops/{dataset}.tsv"
    params:
        downloaded=lambda wildcards, input: str(Path(input.receipt).with_suffix("")),
        expected=manifest.read().datasets["whoops"].pictures,
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        dataset=of_kind("whoops"),
    script:
        "../scripts/unpack_whoops.py"


rule unpack_imagenet:
    message:
        "Unpack the chosen pictures of {wildcards.dataset}"
    input:
        source=lambda wildcards: settings.datasets[wildcards.dataset].path
        or f"{settings.cache}/datasets/imagenet.json",
        code=modules("datasets/imagenet"),
    output:
        pictures=directory("results/{run}/datasets/{dataset}/pictures"),
        listed="results/{run}/datasets/{dataset}/listed.csv",
    log:
        "results/{run}/logs/unpack_imagenet/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/unpack_imagenet/{dataset}.tsv"
    params:
        chosen=lambda wildcards: settings.datasets[wildcards.dataset].model_dump(
            mode="json", include={"path", "limit"}
        ),
        downloaded=f"{settings.cache}/datasets/imagenet",
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        dataset=of_kind("imagenet"),
    script:
        "../scripts/unpack_imagenet.py"


rule index_pictures:
    message:
        "Check the pictures of {wildcards.dataset}"
    input:
        listed=listed_pictures,
        code=modules("datasets/folder", "tables"),
    output:
        pictures="results/{run}/datasets/{dataset}/files.parquet",
        skipped="results/{run}/datasets/{dataset}/skipped.csv",
    log:
        "results/{run}/logs/index_pictures/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/index_pictures/{dataset}.tsv"
    params:
        dataset=lambda wildcards: {
            "kind": settings.datasets[wildcards.dataset].kind,
            "path": settings.picture_folder(wildcards.dataset).as_posix(),
            "limit": settings.datasets[wildcards.dataset].limit,
        },
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
        captions=lambda wildcards: settings.captions_file(wildcards.dataset) or [],
        code=modules("datasets/folder", "tables"),
    output:
        pictures="results/{run}/datasets/{dataset}/pictures.parquet",
    log:
        "results/{run}/logs/add_references/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/add_references/{dataset}.tsv"
    params:
        folder=lambda wildcards: str(settings.picture_folder(wildcards.dataset)),
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
