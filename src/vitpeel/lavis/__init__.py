"""The reference engine: a checkpoint in LAVIS's own modules, run in an environment of its own.

What runs there is in `inside` and imports nothing of vitpeel but that folder; what calls it is beside it.
"""
