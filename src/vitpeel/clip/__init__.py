"""CLIP-InterpreT: what the heads of a CLIP say, by the texts that span their contributions."""
