"""The second study, CLIP-InterpreT: sections 3 and 4 here and in clip_scores.smk, section 5 in clip_analyses.smk."""

if settings.clip is None:
    FIGURES |= {"clip_tables": [], "clip_figures": []}
    LEFT_OUT |= dict.fromkeys(
        ("clip_tables", "clip_figures"), "clip is null: there are no CLIP models in this configuration."
    )
else:

    include: "clip_heads.smk"
    include: "clip_scores.smk"
    include: "clip_analyses.smk"
