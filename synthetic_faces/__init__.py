"""Synthetic faces: a population of people who do not exist, and any number of photographs of each.

A parametric renderer in NumPy and Pillow. What belongs to a person is drawn once per identity (`identity`), what belongs
to a moment once per photograph (`setting`). Only operations that IEEE 754 defines to the bit touch a pixel (+, -, *, /,
square root, comparisons, rounding), so that the same seed gives the same photograph on every x86-64 machine, whatever
its vector units: no exponential, no sine, no sum over many numbers.
"""

from synthetic_faces.population import MAX_PHOTOGRAPHS, RENDERER, Population, SyntheticFacesError, photograph_name

__all__ = ["MAX_PHOTOGRAPHS", "RENDERER", "Population", "SyntheticFacesError", "photograph_name"]
