"""The embedded default: a small world of drawn scenes, and the captioner trained on it."""
