"""An invader, or replicas of one."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from orchestrator.errors import GalleryGoneError
from orchestrator.experiment.model import Model
from orchestrator.experiment.region import Region
from orchestrator.services.addresses import has_replicas, name_of_replicas, replica_addresses
from orchestrator.services.galleries import NOBODY, OWN, GalleryClient, SealedGallery
from orchestrator.services.invader import Classification, InvaderClient
from orchestrator.services.replicas import Replica, Replicas
from rpc.tls import TlsMaterial


class ReplicatedInvader(Replicas[InvaderClient]):
    """Replicas of an invader, asked as one is. What is enrolled at one of them is searched there."""

    def __init__(self, kind: str, text: str, **settings: Any) -> None:
        super().__init__(kind, text, **settings)
        self._galleries = ReplicatedGalleries(self)
        self.galleries: GalleryClient = self._galleries
        self.enrols = False  # whether they enrol pictures of clients
        self.queries_left: int | None = None  # by the latest answer; None where no budget is set

    async def models(self) -> dict[str, Model]:
        """See `Replicas`."""
        models = await super().models()
        async with self.calling() as replica:
            self.enrols, self.queries_left = replica.client.enrols, replica.client.queries_left
        return models

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        """See `InvaderClient`."""
        async with self.calling() as replica:
            return await replica.client.identities(model)

    async def classify(
        self,
        image: bytes,
        *,
        target_models: Sequence[str],
        k: int,
        region: Region = Region.DETECTED,
        gallery: SealedGallery | None = None,
    ) -> dict[str, Classification] | None:
        """See `InvaderClient`; a gallery whose replica is not used any more is gone with it."""
        at = None if gallery is None else self._galleries.replica_of(gallery.name)
        async with self.calling(at=at) as replica:
            answers = await replica.client.classify(image, target_models=target_models, k=k, region=region, gallery=gallery)
            self.queries_left = replica.client.queries_left
        return answers


class ReplicatedGalleries(GalleryClient):
    """Makes each gallery at one of the replicas, and knows at which: one that is derived is made where its base is."""

    def __init__(self, invader: ReplicatedInvader) -> None:
        self._invader = invader
        self._places: dict[str, Replica[InvaderClient]] = {}  # by the names of galleries that are there

    @asynccontextmanager
    async def gallery(self, enrolled: Mapping[str, Sequence[bytes]], *, base: str = OWN) -> AsyncIterator[SealedGallery]:
        """See `GalleryClient`."""
        at = None if base in (OWN, NOBODY) else self.replica_of(base)
        async with (
            self._invader.calling(at=at) as replica,
            replica.client.galleries.gallery(enrolled, base=base) as gallery,
        ):
            self._places[gallery.name] = replica
            try:
                yield gallery
            finally:
                del self._places[gallery.name]

    def replica_of(self, name: str) -> Replica[InvaderClient]:
        """Where a gallery is.

        Raises:
            GalleryGoneError: it was let go.
        """
        if name not in self._places:
            raise GalleryGoneError(f"{self._invader.name}: the gallery is not there any more")
        return self._places[name]


def open_invader(
    address: str, *, tls: TlsMaterial | None, tls_name: str | None = None, note: Callable[[str], None]
) -> InvaderClient | ReplicatedInvader:
    """The client of what an address stands for; `note` is told which replicas come and go.

    Raises:
        InputError: it is no address.
    """
    if not has_replicas(address):
        return InvaderClient(address, tls=tls, tls_name=tls_name)
    return ReplicatedInvader(
        "invader",
        address,
        addresses=replica_addresses("invader", address),
        open_client=partial(InvaderClient, tls=tls, tls_name=tls_name or name_of_replicas(address)),
        note=note,
    )
