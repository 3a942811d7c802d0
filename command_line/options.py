"""Types of command-line options."""

import os
from pathlib import Path
from typing import Any

import click


class PathOption(click.Path[Path]):
    """A path as people type it: `~` is their home folder also where the shell did not see it, as after `--option=`."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay, dir_okay=dir_okay)

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """See `click.ParamType.convert`."""
        expanded = os.path.expanduser(value)  # noqa: PTH111 - this one leaves the home of an unknown user as it is
        return super().convert(expanded, param, ctx)


class CommaList(click.ParamType[Any]):
    """Comma-separated values, each at most once; numbers come in ascending order."""

    def __init__(self, item: click.ParamType[Any], *, name: str) -> None:
        self.name = name
        self._item = item

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """See `click.ParamType.convert`."""
        if not isinstance(value, str):
            return value
        values = [self._item.convert(item.strip(), param, ctx) for item in value.split(",") if item.strip()]
        if not values:
            self.fail(f"expected at least one {self.name}, got none", param, ctx)
        for item in values:
            if values.count(item) > 1:
                self.fail(f"expected no repetition, got {item} twice", param, ctx)
        return tuple(sorted(values) if isinstance(values[0], int) else values)
