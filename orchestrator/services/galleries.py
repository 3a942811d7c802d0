"""Galleries of this client's own at a service: made, searched, and deleted again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Self, TypeVar

import grpc
from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc

from orchestrator.errors import GalleryEmptyError, GalleryGoneError, OrchestratorError, UnusableServiceError
from orchestrator.services.connection import Connection

OWN = "default"  # the service's own gallery, as the base of others
NOBODY = ""  # as the base of a gallery that begins empty
KEPT_SECONDS = 120  # without use: what an orchestrator that was killed left behind is forgotten then
ENROL_SECONDS = 300.0
CALL_SECONDS = 30.0  # of the others
DELETE_SECONDS = 5.0
EMPTY_SHA256 = sha256().hexdigest()  # of a gallery that holds nobody

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class SealedGallery:
    """A gallery that can be searched."""

    name: str
    sha256: str  # the digest of its identities and pictures, as the protocol defines it
    not_enrolled: frozenset[str]  # of the identities that were to be enrolled, those of whom no picture shows a face


class GalleryClient:
    """Makes galleries at the service of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = gallery_pb2_grpc.GalleryServiceStub(connection.channel)

    @asynccontextmanager
    async def gallery(self, enrolled: Mapping[str, Sequence[bytes]], *, base: str = OWN) -> AsyncIterator[SealedGallery]:
        """A gallery that is there while the context lasts: the base with these identities' pictures in place of its own.

        Args:
            enrolled: by identity, in Unicode's normal form C, all of its pictures; none twice.
            base: the service's own gallery, one of this client's, or NOBODY.

        Raises:
            GalleryGoneError: the service has forgotten a gallery; it is to be made again.
            CallError: a call failed.
            UnusableServiceError: the service does not answer, or not to what was asked.
        """
        creating = asyncio.create_task(self._create(base))
        try:
            name = await asyncio.shield(creating)  # so that whoever is cancelled meanwhile knows what to delete
            without = [
                identity for identity, pictures in enrolled.items() if not await self._enrol(name, identity, pictures)
            ]
            yield SealedGallery(name, await self._seal(name, is_empty=len(without) == len(enrolled)), frozenset(without))
        finally:
            await _to_the_end(self._delete(creating))

    async def _create(self, base: str) -> str:
        create = gallery_pb2.CreateGalleryRequest(base=base, seconds=KEPT_SECONDS)
        return (await self._connection.answer(self._stub.CreateGallery(create, timeout=CALL_SECONDS))).gallery

    async def _delete(self, created: Awaitable[str]) -> None:
        """Deletes a gallery, if it can be: it is forgotten in any case, only later."""
        with suppress(OrchestratorError, grpc.aio.AioRpcError, TimeoutError):
            async with asyncio.timeout(DELETE_SECONDS):
                await self._stub.DeleteGallery(gallery_pb2.DeleteGalleryRequest(gallery=await created))

    async def _seal(self, gallery: str, *, is_empty: bool) -> str:
        """Its digest. Where nothing was enrolled, the base may have held nobody else: there is nothing to search."""
        seal = gallery_pb2.SealGalleryRequest(gallery=gallery)
        try:
            sealed = await self._connection.answer(self._stub.SealGallery(seal, timeout=CALL_SECONDS))
        except GalleryEmptyError:
            if is_empty:
                return EMPTY_SHA256
            raise
        return sealed.gallery_sha256

    async def _enrol(self, gallery: str, identity: str, pictures: Sequence[bytes]) -> bool:
        """Whether a face was found in any of the pictures."""
        request = gallery_pb2.EnrolRequest(gallery=gallery, identity=identity, photos=pictures)
        enrolments = (await self._connection.answer(self._stub.Enrol(request, timeout=ENROL_SECONDS))).enrolments
        known = {gallery_pb2.ENROLMENT_ENROLLED, gallery_pb2.ENROLMENT_NO_FACE}
        if len(enrolments) != len(pictures) or not known.issuperset(enrolments):
            raise UnusableServiceError(
                f"{self._connection.name}: expected of {len(pictures)} pictures of {identity} whether each is enrolled, got "
                f"{len(enrolments)} answers: {', '.join(map(str, enrolments))}"
            )
        return gallery_pb2.ENROLMENT_ENROLLED in enrolments


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Does work that takes a moment, even where the task is cancelled again meanwhile, as groups of tasks do that end."""
    working, cancelled = asyncio.create_task(work), None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    working.result()


class LastingGallery:
    """A gallery that is made when it is first used, and once more after the service has forgotten it."""

    def __init__(
        self,
        client: GalleryClient,
        enrolled: Mapping[str, Sequence[bytes]],
        *,
        base: "LastingGallery | None" = None,
        beginning: str = OWN,
    ) -> None:
        """`enrolled` is as of `GalleryClient.gallery`; without a base, `beginning` is that."""
        self._client = client
        self._enrolled = enrolled
        self._base = base
        self._beginning = beginning
        self._made: SealedGallery | None = None
        self._changing = asyncio.Lock()  # several may use it at a time
        self._until_gone = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._until_gone.aclose()

    async def use(self, ask: Callable[[SealedGallery], Awaitable[Answer]]) -> Answer:
        """What is answered about it. After a failure it is still there, unless the service has forgotten it.

        Raises:
            OrchestratorError: see `GalleryClient.gallery`, and what `ask` raises.
        """
        used: SealedGallery | None = None
        try:
            used = await self._sealed()
            return await ask(used)
        except GalleryGoneError:
            await self._let_go(used)
            raise

    async def _sealed(self) -> SealedGallery:
        async with self._changing:
            if self._made is None:
                base = self._beginning if self._base is None else (await self._base._sealed()).name
                self._made = await self._until_gone.enter_async_context(self._client.gallery(self._enrolled, base=base))
            return self._made

    async def _let_go(self, used: SealedGallery | None) -> None:
        """Of what was used, unless it was made anew meanwhile; and of its base: what is forgotten may be either."""
        async with self._changing:
            if self._made is not used:
                return
            self._made = None
            await self._until_gone.aclose()
            if self._base is not None:
                await self._base._let_go(self._base._made)
