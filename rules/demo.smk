"""How the embedded models were trained. Not part of `all`: the trained ones are in resources/demo."""


localrules:
    train_demo,
    train_demo_clip,


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


rule train_demo_clip:
    message:
        "Train the demo CLIP {wildcards.size} from nothing (an hour on a core; then copy it to resources/demo)"
    input:
        glyphs="resources/demo/glyphs",
        code=modules("demo/clip_pictures", "demo/clip_training"),
    output:
        model=directory("results/train_demo/{size}"),
    log:
        "results/train_demo/{size}.log",
    benchmark:
        "results/train_demo/{size}.tsv"
    params:
        seed=settings.seed,
    threads: 1
    conda:
        "../envs/vitpeel.yaml"
    wildcard_constraints:
        size="clip-small|clip-large",
    script:
        "../scripts/train_demo_clip.py"
