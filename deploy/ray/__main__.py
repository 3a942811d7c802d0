"""`python -m deploy.ray`: keeps replicas of both services running on a Ray cluster."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from command_line.errors import OperatorError
from command_line.options import PathOption
from command_line.program import EXIT_STATUS, run_program
from deploy.ray.address_list import AddressList
from deploy.ray.fleet import Fleet, follow, kind_of, state_of
from deploy.ray.replica import ReplicaSpec
from rpc.roles import ROLES

if TYPE_CHECKING:
    from deploy.ray.cluster import RayCluster

# Ray is imported where it is needed, so that a lack of it can be reported.

KINDS = tuple(role.name for role in ROLES)
OURS = {  # options of services that are given to them by what they are here
    **dict.fromkeys(("--host", "--port"), "replicas listen on a free port of their node"),
    **dict.fromkeys(("--tls-certificate", "--tls-key", "--tls-authority"), "give --certificates"),
    "--stop-with-stdin": "replicas end with their actors",
}
INTERRUPTED = "the lists are not kept any more; replicas go on until python -m deploy.ray down"

_ADDRESS = click.option(
    "--address",
    envvar="RAY_ADDRESS",
    default="auto",
    help="Of the cluster's head, HOST:PORT; auto is the one that runs here.",
)


@click.group(context_settings={"show_default": True}, epilog=EXIT_STATUS)
def cli() -> None:
    """Replicas of protector and invader as actors on a Ray cluster that this machine is a node of.

    Whoever reaches a cluster's ports can run anything on it: one for protectors, another for invaders.
    """


@cli.command(epilog=EXIT_STATUS)
@_ADDRESS
@click.option("--protectors", type=click.IntRange(0), default=0, help="How many to keep; 0 leaves them as they are.")
@click.option("--invaders", type=click.IntRange(0), default=0, help="How many to keep; 0 leaves them as they are.")
@click.option("--gpus-each", type=click.FloatRange(0), default=0, help="GPUs of a replica; 0.5 is half of one.")
@click.option("--cpus-each", type=click.FloatRange(0), default=1, help="Processors that are set aside for a replica.")
@click.option(
    "--certificates",
    type=click.Path(),
    help="Folder on the nodes, as python -m rpc.certificates makes it.  [default: plain text, on one machine]",
)
@click.option(
    "--lists",
    type=PathOption(file_okay=False),
    default=".",
    help="Folder of the files `protectors` and `invaders`, which list addresses.",
)
@click.option("--grace-seconds", type=click.FloatRange(0), default=30, help="That a replica is given to end its calls.")
@click.option("--protector-options", default="", help="Further options of protectors alone.")
@click.option("--invader-options", default="", help="Further options of invaders alone.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SERVICE_OPTIONS]")
def up(
    *,
    address: str,
    protectors: int,
    invaders: int,
    gpus_each: float,
    cpus_each: float,
    certificates: str | None,
    lists: Path,
    grace_seconds: float,
    protector_options: str,
    invader_options: str,
    options: tuple[str, ...],
) -> str:
    """Start replicas where there are too few, and list their addresses until this is interrupted.

    They go on when it is; up adopts them, and ends those that are too many. SERVICE_OPTIONS are for both kinds.
    """
    numbers = dict(zip(KINDS, (protectors, invaders), strict=True))
    if not any(numbers.values()):
        raise OperatorError("--protectors, --invaders: expected at least one replica, got none")
    further = dict(zip(KINDS, (protector_options, invader_options), strict=True))
    wanted = {
        kind: (
            ReplicaSpec(kind, (*options, *_split(kind, further[kind])), certificates, grace_seconds),
            AddressList(lists / f"{kind}s"),
        )
        for kind, number in numbers.items()
        if number
    }
    for spec, _ in wanted.values():
        _check_options(spec)
    cluster = _cluster(address, cpus=cpus_each, gpus=gpus_each)
    if certificates is None and len(cluster.node_addresses) > 1:
        raise OperatorError(
            f"--certificates: expected a folder on the nodes: plain text is for loopback only, and the cluster has nodes "
            f"on {len(cluster.node_addresses)} machines"
        )
    places = cluster.places()
    if places is not None and places < sum(numbers.values()):
        click.echo(f"the nodes that are up have places for {places} such replicas; the others wait for more nodes")
    follow([Fleet(cluster, numbers[kind], spec, addresses, click.echo) for kind, (spec, addresses) in wanted.items()])
    return "no replica is there any more"


@cli.command(epilog=EXIT_STATUS)
@_ADDRESS
def status(*, address: str) -> str:
    """Say where replicas run."""
    cluster = _cluster(address)
    found = cluster.describe(sorted(cluster.names()))
    return "\n".join(f"{name}: {state_of(status)}" for name, status in found.items()) or "no replica runs"


@cli.command(epilog=EXIT_STATUS)
@_ADDRESS
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS))
def down(*, address: str, kinds: tuple[str, ...]) -> str:
    """End replicas, of these KINDS or all, when they have ended the calls that they have."""
    cluster = _cluster(address)
    names = [name for name in sorted(cluster.names()) if kind_of(name) in (kinds or KINDS)]
    cluster.end(names)
    return f"ended: {', '.join(names) or 'none was there'}"


def _cluster(address: str, *, cpus: float = 1, gpus: float = 0) -> "RayCluster":
    from deploy.ray.cluster import RayCluster

    return RayCluster(address, cpus=cpus, gpus=gpus)


def _split(kind: str, options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError as error:
        raise OperatorError(f"--{kind}-options: {options}: {error}") from error


def _check_options(spec: ReplicaSpec) -> None:
    for option in spec.options:
        if (why := OURS.get(option.partition("=")[0])) is not None:
            raise OperatorError(f"{option.partition('=')[0]}: expected none for a {spec.kind}: {why}")


if __name__ == "__main__":
    run_program(cli, interrupted=INTERRUPTED)
