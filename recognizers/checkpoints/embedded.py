"""The embedded recognizers: compact networks that know the first people of the synthetic population, weights included."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
IDENTITIES = 300
