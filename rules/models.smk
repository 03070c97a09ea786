"""What the manifest names, from the hubs into the cache: once, and never on a node with a GPU."""


wildcard_constraints:
    collection="checkpoints|datasets|texts",
    entry=r"[a-z0-9-]+",


localrules:
    download,


# An edit of the code fetches nothing again: whatever brought a file, its checksum says that it is the right one.
rule download:
    message:
        "Bring {wildcards.entry} into the cache"
    input:
        code=modules("downloads"),
    output:
        receipt=f"{settings.cache}/{{collection}}/{{entry}}.json",
    log:
        f"{RESULTS}/logs/download/{{collection}}-{{entry}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/download/{{collection}}-{{entry}}.tsv"
    params:
        cache=lambda wildcards, output: str(Path(output.receipt).parents[1]),
        entry=lambda wildcards: getattr(manifest.read(), wildcards.collection)[wildcards.entry].model_dump(
            mode="json"
        ),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/download.py"
