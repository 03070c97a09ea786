"""Interpretability of vision transformers, layer by layer: what is made, and where the steps stand.

    snakemake                   everything
    snakemake fig1              a figure alone; so fig3
    snakemake -n                what would run, and why
    snakemake train_demo        the embedded captioner, trained again from nothing

The configuration is config/config.yaml, narrated; `--configfile my.yaml` puts another in its place.
"""

from snakemake.utils import min_version

min_version("9.27")

# Another file takes this one's place instead of being merged into it: nobody's run has the demo's pictures in it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"  # the checked settings; which modules a rule depends on
include: "rules/datasets.smk"  # pictures and captions in
include: "rules/activations.smk"  # what every layer holds: residual tokens, CLS attention (sections 3.3, 3.4)
include: "rules/captions.smk"  # what every layer says (section 3.5)
include: "rules/scores.smk"  # what that is worth
include: "rules/upper.smk"  # section 4.3: the semantic sculptors, Figure 3
include: "rules/figures.smk"  # Figure 1
include: "rules/demo.smk"  # how the embedded captioner was trained


localrules:
    all,
    fig1,
    fig3,


rule all:
    default_target: True
    input:
        INDEXES,
        SUMMARY,
        FIG1,
        FIG3 if FIG3_HAS_SCORES else [],


rule fig1:
    input:
        FIG1,


rule fig3:
    input:
        fig3_if_scored,
