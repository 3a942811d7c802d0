"""`--store` of the commands that read runs: the database that a manifest names, with the password that no manifest has."""

from collections.abc import Callable
from typing import Any

import click

ENVIRONMENT = "DEID_ORCHESTRATOR_STORE"  # of `evaluate` too

store_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--store",
    envvar=ENVIRONMENT,
    help="Database of runs whose manifests name it, with its password.  [default: as the manifest names it]",
)
