"""Reproducible interpretability of vision transformers, layer by layer."""
