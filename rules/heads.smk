"""Section 4.4, single heads and heads by mask: Figure 6, appendix D."""
