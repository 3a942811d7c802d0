"""What the wheel is made of, of which the images take their parts."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_that_imports_are_watched_of_is_in_the_wheel() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    build = tool["hatch"]["build"]
    sources = build["targets"]["wheel"]["sources"]
    assert {sources.get(each, each) for each in build["packages"]} == set(tool["importlinter"]["root_packages"])


def test_every_package_is_among_the_files_that_images_are_built_from() -> None:
    copied = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["packages"]
    assert {Path(each).parts[0] for each in packages} <= copied


def test_a_checkout_is_locked_with_all_extras_but_that_of_ray() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("EXTRAS := "))
    assert {*line.removeprefix("EXTRAS := ").split(), "ray"} == set(extras)
