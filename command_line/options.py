"""Types of command-line options."""

import os
from pathlib import Path

import click


class PathOption(click.Path[Path]):
    """A path as people type it: `~` is their home folder also where the shell did not see it, as after `--option=`."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay, dir_okay=dir_okay)

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """See `click.ParamType.convert`."""
        expanded = os.path.expanduser(value)  # noqa: PTH111 - this one leaves the home of an unknown user as it is
        return super().convert(expanded, param, ctx)
