"""A protector, or replicas of one."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.method import Method
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from orchestrator.services.addresses import has_replicas, name_of_replicas, replica_addresses
from orchestrator.services.protector import ProtectorClient
from orchestrator.services.replicas import Replicas, State
from rpc.tls import TlsMaterial


class ReplicatedProtector(Replicas[ProtectorClient]):
    """Replicas of a protector, asked as one is."""

    @property
    def placements(self) -> frozenset[Placement]:
        """Those that all replicas have which answered."""
        ready = [replica.client.placements for replica in self._replicas if replica.state is State.READY]
        return frozenset(Placement).intersection(*ready) if ready else frozenset({Placement.CROP})

    @property
    def enrols(self) -> bool:
        """Whether all replicas do that answered."""
        ready = [replica.client.enrols for replica in self._replicas if replica.state is State.READY]
        return bool(ready) and all(ready)

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        """See `ProtectorClient`."""
        async with self.calling() as replica:
            return await replica.client.methods(epsilons)

    async def identities(self, model: Model) -> tuple[str, ...]:
        """See `ProtectorClient`."""
        async with self.calling() as replica:
            return await replica.client.identities(model)

    async def craft(self, photo: bytes, **asked: Any) -> AsyncGenerator[Cloak, None]:
        """See `ProtectorClient`."""
        async with self.calling() as replica, aclosing(replica.client.craft(photo, **asked)) as row:
            async for cloak in row:
                yield cloak


def open_protector(
    address: str, *, tls: TlsMaterial | None, tls_name: str | None = None, note: Callable[[str], None]
) -> ProtectorClient | ReplicatedProtector:
    """The client of what an address stands for; `note` is told which replicas come and go.

    Raises:
        InputError: it is no address.
    """
    if not has_replicas(address):
        return ProtectorClient(address, tls=tls, tls_name=tls_name)
    return ReplicatedProtector(
        "protector",
        address,
        addresses=replica_addresses("protector", address),
        open_client=partial(ProtectorClient, tls=tls, tls_name=tls_name or name_of_replicas(address)),
        note=note,
    )
