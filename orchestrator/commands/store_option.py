"""`--store` of the commands that read runs: the database that a manifest names, with the password that no manifest has."""

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

ENVIRONMENT = "DEID_ORCHESTRATOR_STORE"  # of `evaluate` too

store_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--store",
    envvar=ENVIRONMENT,
    help="Database of runs whose manifests name it, with its password.  [default: as the manifest names it]",
)


def is_on_command_line() -> bool:
    """Whether `--store` was given to this command itself: what is in the environment may be meant for other runs."""
    source = click.get_current_context().get_parameter_source("store")
    return source is ParameterSource.COMMANDLINE
