"""Section 5: the five analyses."""

FIGURES["clip_figures"] = CLIP_HEADS
