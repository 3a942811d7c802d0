"""`python -m benchmarks NAME`: measures, prints a table and writes build/benchmarks/NAME.json."""

from pathlib import Path

import click

from benchmarks import compare_runs, craft, exactness, gallery, million, protocol, replicas, scaling, service
from benchmarks.networks import ALIGNED, FULL_SIZE


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Ratios within one run on this machine; leave it alone meanwhile."""


@main.command(name="craft")
@click.option("--networks", default=",".join((*FULL_SIZE, *ALIGNED)))
@click.option("--methods", default=craft.BIM)
@click.option("--probes", type=click.IntRange(16), default=16, help="Fewer would not fill a batch for each worker.")
@click.option("--repetitions", type=click.IntRange(1), default=3, help="Of ten gradient steps a probe, or a few more.")
@click.option("--sweeps", type=click.IntRange(0), default=1, help="Of BIM with all six budgets.")
def craft_command(*, networks: str, methods: str, probes: int, repetitions: int, sweeps: int) -> None:
    """Gradient steps and sweeps beside plain PyTorch, torchattacks, foolbox and ART."""
    craft.run(networks.split(","), methods.split(","), probes=probes, repetitions=repetitions, sweeps=sweeps)


@main.command(name="service")
@click.option("--networks", default=FULL_SIZE[0])
@click.option("--photos", type=click.IntRange(1), default=8)
@click.option("--repetitions", type=click.IntRange(1), default=3)
def service_command(*, networks: str, photos: int, repetitions: int) -> None:
    """Crafting through the service beside the engine in this process."""
    service.run(networks.split(","), photos=photos, repetitions=repetitions)


@main.command(name="protocol")
@click.option("--subjects", type=click.IntRange(1), default=4)
def protocol_command(*, subjects: int) -> None:
    """The whole grid beside a plain script."""
    protocol.run(subjects=subjects)


@main.command(name="scaling")
def scaling_command() -> None:
    """Time against subjects, budgets and subjects in flight."""
    scaling.run()


@main.command(name="million")
def million_command() -> None:
    """The report of a run of a million observations."""
    million.run()


@main.command(name="gallery")
@click.option("--identities", type=click.IntRange(2), default=10_000)
@click.option("--searches", type=click.IntRange(1), default=50)
def gallery_command(*, identities: int, searches: int) -> None:
    """A search in a large gallery beside the network before it."""
    gallery.run(identities=identities, searches=searches)


@main.command(name="replicas")
@click.option("--counts", default="1,4,16,64", help="Of the replicas of each service.")
@click.option("--orchestrators", type=click.IntRange(1), default=1, help="Several share a PostgreSQL server of their own.")
@click.option("--rounds", type=click.IntRange(1), default=10, help="Of crafts for each replica.")
def replicas_command(*, counts: str, orchestrators: int, rounds: int) -> None:
    """Throughput with replicas that compute nothing, beside that of one."""
    replicas.run([int(count) for count in counts.split(",")], rounds=rounds, orchestrators=orchestrators)


@main.command(name="exactness")
@click.option("--networks", default=",".join(exactness.NETWORKS))
def exactness_command(*, networks: str) -> None:
    """The engine's cloaks beside a plain loop's."""
    exactness.run(networks.split(","))


@main.command(name="compare")
@click.argument("one", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
@click.option("--k", type=click.IntRange(1), default=1)
def compare_command(*, one: Path, other: Path, k: int) -> None:
    """Two run folders of one plan, such as in float32 and in bfloat16."""
    compare_runs.run(one, other, k=k)


if __name__ == "__main__":
    main()
