"""The report of a run: what was found in words, figures and tables."""
