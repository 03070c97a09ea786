"""What the captions are worth: against the references, against the last layer, with intervals."""


localrules:
    summarise,


rule score_references:
    message:
        "Score the captions of {wildcards.dataset} against the references"
    input:
        captions="results/{run}/captions/{dataset}/layers.parquet",
        pictures=with_references,
        code=modules("scores/references", "caption_tables", "datasets/pictures"),
    output:
        scores="results/{run}/scores/{dataset}/references.parquet",
    log:
        "results/{run}/logs/score_references/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/score_references/{dataset}.tsv"
    params:
        metrics=list(settings.scores.references),
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/score_references.py"


rule score_bertscore:
    message:
        "Score the captions of {wildcards.dataset} against the last layer's, by BERTScore"
    input:
        captions="results/{run}/captions/{dataset}/layers.parquet",
        model=BERTSCORE_MODEL,
        code=modules("scores/bertscore", "caption_tables"),
    output:
        scores="results/{run}/scores/{dataset}/bertscore.parquet",
    log:
        "results/{run}/logs/score_bertscore/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/score_bertscore/{dataset}.tsv"
    params:
        bertscore=settings.scores.bertscore.model_dump(mode="json"),
    threads: THREADS
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/score_bertscore.py"


rule summarise:
    message:
        "Average the scores of {wildcards.dataset} over its pictures, with bootstrap intervals"
    input:
        captions="results/{run}/captions/{dataset}/layers.parquet",
        scores=scores_of,
        code=modules("scores/bootstrap", "caption_tables"),
    output:
        summary="results/{run}/tables/{dataset}/summary.parquet",
        csv="results/{run}/tables/{dataset}/summary.csv",
    log:
        "results/{run}/logs/summarise/{dataset}.log",
    benchmark:
        "results/{run}/benchmarks/summarise/{dataset}.tsv"
    params:
        bootstrap=settings.scores.bootstrap.model_dump(mode="json"),
        seed=settings.seed,
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/summarise.py"
