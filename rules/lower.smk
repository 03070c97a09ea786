"""Section 4.2, the lower layers as texture tailors: Figure 2, appendix A."""
