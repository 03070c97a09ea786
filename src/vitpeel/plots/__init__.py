"""The figures, one module each. Their input is small tables only, and none of them imports torch."""
