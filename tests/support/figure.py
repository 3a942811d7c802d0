"""Figures that a test measures, which are shown at the end of the run."""

from collections.abc import Callable

FIGURE = "figure"
Tell = Callable[[str], None]
