"""A population as a folder of identity folders, VGGFace2's layout."""

from collections.abc import Iterator
from pathlib import Path

from synthetic_faces.population import Population, photograph_name


def write_folder(root: Path, population: Population, *, photographs: int) -> Iterator[Path]:
    """Writes photographs 1..photographs of everyone; yields each file, also those that were there already.

    Raises:
        OSError: a folder or file cannot be written.
    """
    for number, name in enumerate(population.names, start=1):
        (root / name).mkdir(parents=True, exist_ok=True)
        for photograph in range(1, photographs + 1):
            file = root / name / photograph_name(photograph)
            if not file.exists():
                partial = file.with_suffix(".partial")
                partial.write_bytes(population.jpeg(number, photograph))
                partial.replace(file)
            yield file
