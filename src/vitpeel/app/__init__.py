"""CLIP-InterpreT's five analyses, and the captioner layer by layer, in a browser."""
