"""How the embedded captioner was trained. Not part of `all`: the trained one is in resources/demo/captioner."""


localrules:
    train_demo,


rule train_demo:
    message:
        "Train the demo captioner from nothing (hours on two cores; then copy it to resources/demo/captioner)"
    input:
        glyphs="resources/demo/glyphs",
        pictures="resources/demo/whoops",
        code=modules("demo/training", "plots/demo_training"),
    output:
        captioner=directory("results/train_demo/captioner"),
        curve="results/train_demo/curve.csv",
        figures=multiext("results/train_demo/curve", ".pdf", ".png"),
    log:
        "results/train_demo/train_demo.log",
    benchmark:
        "results/train_demo/train_demo.tsv"
    params:
        seed=settings.seed,
    threads: 2
    conda:
        "../envs/vitpeel.yaml"
    script:
        "../scripts/train_demo.py"
