"""Distributions as an installer leaves them: a module and its metadata, in a folder to be put on the path."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def install(folder: Path, distribution: str, entry_points: Mapping[str, Mapping[str, str]], **modules: str) -> None:
    """Writes a distribution's modules and entry points (by group and name) to a folder."""
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in entry_points.items()
    )
    install_text(folder, distribution, text, **modules)


def install_text(folder: Path, distribution: str, entry_points: str, **modules: str) -> None:
    """The same, with the text of `entry_points.txt`, be it well-formed or not."""
    metadata = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(dedent(source))
