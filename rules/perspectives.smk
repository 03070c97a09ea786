"""Sections 3.3 to 3.5: what each layer adds, where it looks, how that and its caption change."""
