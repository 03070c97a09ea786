"""Section 4.4, from abstract to concrete: Figures 4 and 5, appendix C."""
