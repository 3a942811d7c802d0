"""Figures of a run: they draw metrics and compute nothing. What is drawn is first a structure, by `series`."""
