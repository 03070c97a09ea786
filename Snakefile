"""Interpretability of vision transformers, layer by layer: what is made, and where the steps stand.

    snakemake                   everything
    snakemake fig1              a figure alone; so fig2 to fig6, table1, the others (`snakemake --list` names all)
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
include: "rules/models.smk"  # checkpoints, datasets and texts from the hubs, into the cache
include: "rules/inputs.smk"  # what they ask for by wildcard
include: "rules/datasets.smk"  # pictures and captions in
include: "rules/activations.smk"  # what every layer holds: residual tokens, CLS attention
include: "rules/captions.smk"  # what every layer says
include: "rules/scores.smk"  # what that is worth
include: "rules/perspectives.smk"  # sections 3.3 to 3.5: data flow, heatmaps, language side by side
include: "rules/figures.smk"  # Figure 1, appendix B
include: "rules/lower.smk"  # section 4.2: the texture tailors, Figure 2, appendix A
include: "rules/upper.smk"  # section 4.3: the semantic sculptors, Figure 3
include: "rules/judge.smk"  # section 4.4: the concept weavers, Figures 4 and 5, appendix C
include: "rules/heads.smk"  # section 4.4: single heads, Figure 6, appendix D
include: "rules/pruning.smk"  # section 4.4: Algorithm 1, Table 1
include: "rules/clip.smk"  # CLIP-InterpreT: labels of heads, entanglement and association, five analyses
include: "rules/parity.smk"  # vitpeel beside LAVIS, the reference
include: "rules/demo.smk"  # how the embedded captioner was trained
include: "rules/targets.smk"  # one named target a figure


localrules:
    all,


rule all:
    default_target: True
    input:
        INDEXES,
        SUMMARY,
        [files for target, files in FIGURES.items() if target not in LEFT_OUT],
