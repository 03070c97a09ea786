"""Pictures and captions in."""


localrules:
    index_pictures,


rule index_pictures:
    message:
        "Check the pictures of {wildcards.dataset}"
    input:
        captions=lambda wildcards: settings.datasets[wildcards.dataset].captions or [],
        code=modules("datasets/folder", "tables"),
    output:
        pictures="results/{run}/datasets/{dataset}/pictures.parquet",
        skipped="results/{run}/datasets/{dataset}/skipped.csv",
    log:
        "results/{run}/logs/index_pictures/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/index_pictures/{dataset}.tsv"
    params:
        dataset=lambda wildcards: settings.datasets[wildcards.dataset].model_dump(mode="json"),
        files=picture_files,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/index_pictures.py"
