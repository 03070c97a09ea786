"""Section 4.4, Algorithm 1 and Table 1."""
