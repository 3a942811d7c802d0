"""Services whose galleries of clients are wrong in one way each."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from rpc.errors import ALREADY_ENROLLED, GALLERY_SEALED, NO_FACE, ServiceError, invalid_argument, not_found
from rpc.models_digest import models_digest, send_models_digest
from rpc.server import Server
from rpc.tls import TlsMaterial
from tests.support.conforming import Conforming, ConformingInvader, ConformingProtector, Context, Reals
from tests.support.conforming_galleries import (
    DEFAULT,
    MAX_SECONDS,
    ClientGallery,
    ConformingGalleries,
    EnrolledPhoto,
    Outcome,
    Pixels,
    not_as_asked,
)
from tests.support.mutants import mutant, unbounded_envelopes

Query = invader_pb2.ClassifyRequest
Craft = protector_pb2.CraftRequest
GALLERIES = gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"]
SERVICES: tuple[type[Conforming], ...] = (ConformingProtector, ConformingInvader)


def mutants_of_both(check: str) -> Callable[[type[ConformingGalleries]], type[ConformingGalleries]]:
    """Makes a mutant of either service, with galleries whose docstring says what is wrong with them."""

    def register(kind: type[ConformingGalleries]) -> type[ConformingGalleries]:
        for service, role in zip(SERVICES, ("protector", "invader"), strict=True):
            fields = {"kind_of_galleries": kind, "__doc__": kind.__doc__, "__module__": __name__}
            mutant(f"{role}.{check}")(type(kind.__name__, (service,), fields))
        return kind

    return register


# Digests


@mutants_of_both("gallery-digests")
class CountsPhotos(ConformingGalleries):
    """States the number of photos of a gallery for that of its identities."""

    async def SealGallery(  # noqa: N802
        self, request: gallery_pb2.SealGalleryRequest, context: Context
    ) -> gallery_pb2.SealGalleryResponse:
        sealed = await super().SealGallery(request, context)
        sealed.identities = len(self.lines(self.galleries[request.gallery]))
        return sealed


@mutants_of_both("gallery-digests")
class OrdersByUtf16(ConformingGalleries):
    """Orders identities by their UTF-16, as some languages compare strings."""

    def in_order(self, identities: Any) -> Sequence[str]:
        return sorted(identities, key=lambda identity: identity.encode("utf-16-be"))


@mutants_of_both("gallery-digests")
class LinesInTheOrderOfEnrolment(ConformingGalleries):
    """States a digest of the photos of a gallery in the order of their enrolment."""

    def lines(self, gallery: ClientGallery) -> Sequence[str]:
        return [f"{identity}\t{photo.sha256}" for identity, photos in gallery.photos.items() for photo in photos]


@mutants_of_both("gallery-digests")
class CountsEqualPhotosEach(ConformingGalleries):
    """Counts each of several equal photos of an identity."""

    async def Enrol(self, request: gallery_pb2.EnrolRequest, context: Context) -> gallery_pb2.EnrolResponse:  # noqa: N802
        answer = await super().Enrol(request, context)
        photos = self.galleries[request.gallery].photos
        extra = len(request.photos) - len(photos[request.identity])
        photos[request.identity] += photos[request.identity][:extra]
        return answer


@mutants_of_both("gallery-digests")
class SealsOnce(ConformingGalleries):
    """Refuses to seal a gallery that is sealed."""

    def check_seal(self, gallery: ClientGallery) -> None:
        if gallery.sealed:
            raise not_as_asked("gallery", "one that is not sealed", GALLERY_SEALED)
        super().check_seal(gallery)


# Enrolment


@mutants_of_both("gallery-again")
class RefusesTheSamePhotosAgain(ConformingGalleries):
    """Refuses an identity that is enrolled, whatever its photos."""

    def check_again(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        raise not_as_asked("identity", "another", ALREADY_ENROLLED, code=grpc.StatusCode.ALREADY_EXISTS)


@mutants_of_both("gallery-again")
class TakesTheLastPhotos(ConformingGalleries):
    """Replaces the photos of an identity by those that are sent later."""

    def check_again(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        self.enrol(gallery, identity, sent)


@mutants_of_both("gallery-again")
class ComparesNumbersOfPhotos(ConformingGalleries):
    """Takes fewer photos of an identity than it has for the same ones."""

    def check_again(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        if len(sent) > len(gallery.enrolled[identity]):
            super().check_again(gallery, identity, sent)


@mutants_of_both("gallery-again")
class RefusesOthersAsABadArgument(ConformingGalleries):
    """Refuses other photos of an identity as any bad argument."""

    def check_again(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        if gallery.enrolled[identity].keys() != sent.keys():
            raise invalid_argument("photos", expected="the same", actual="others")


@mutants_of_both("gallery-faceless")
class RefusesFaceless(ConformingGalleries):
    """Refuses an enrolment in which a photo shows no face."""

    def outcome(self, pixels: Pixels) -> "gallery_pb2.Enrolment.ValueType":
        if pixels.min() == pixels.max():
            raise invalid_argument("photos", expected="a face", actual="none", reason=NO_FACE)
        return Outcome.ENROLMENT_ENROLLED


@mutants_of_both("gallery-faceless")
class DigestsFaceless(ConformingGalleries):
    """Counts a photo in which it finds no face in the digest of the gallery."""

    def enrol(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        super().enrol(gallery, identity, sent)
        self.replace(gallery, identity, tuple(EnrolledPhoto(digest, pixels) for digest, pixels in sent.items()))


@mutants_of_both("gallery-faceless")
class KeepsTheBasesPhotosOfTheFaceless(ConformingGalleries):
    """Keeps the photos that the base has of an identity in whose own photos it finds no face."""

    def replace(self, gallery: ClientGallery, identity: str, photos: tuple[EnrolledPhoto, ...]) -> None:
        if photos:
            super().replace(gallery, identity, photos)


@mutants_of_both("gallery-faceless")
class AnswersOfFacesAlone(ConformingGalleries):
    """Leaves photos without a face out of its answer."""

    def enrolments(
        self, gallery: ClientGallery, request: gallery_pb2.EnrolRequest
    ) -> Sequence["gallery_pb2.Enrolment.ValueType"]:
        return [each for each in super().enrolments(gallery, request) if each == Outcome.ENROLMENT_ENROLLED]


@mutants_of_both("gallery-bad-photos")
class LeavesBrokenPhotosOut(ConformingGalleries):
    """Enrols the photos that it can read."""

    def decoded(self, photos: Sequence[bytes]) -> Mapping[str, Pixels]:
        found: dict[str, Pixels] = {}
        for photo in photos:
            try:
                found |= super().decoded([photo])
            except ServiceError:
                continue
        return found or super().decoded(photos)

    def enrolments(
        self, gallery: ClientGallery, request: gallery_pb2.EnrolRequest
    ) -> Sequence["gallery_pb2.Enrolment.ValueType"]:
        return list(gallery.enrolled[request.identity].values())


@mutants_of_both("gallery-bad-photos")
class BlamesTheFirstPhoto(ConformingGalleries):
    """Names the first photo where another is no image."""

    def decoded(self, photos: Sequence[bytes]) -> Mapping[str, Pixels]:
        return {digest: pixels for photo in photos or [b""] for digest, pixels in super().decoded([photo]).items()}


@mutants_of_both("gallery-bad-photos")
class TakesNoPhotos(ConformingGalleries):
    """Takes an identity without photos for one without a face."""

    def decoded(self, photos: Sequence[bytes]) -> Mapping[str, Pixels]:
        return super().decoded(photos) if photos else {}


@mutants_of_both("gallery-bad-photos")
class EnrolsUpToTheBrokenPhoto(ConformingGalleries):
    """Enrols the photos before the one that it cannot read, and refuses."""

    async def Enrol(self, request: gallery_pb2.EnrolRequest, context: Context) -> gallery_pb2.EnrolResponse:  # noqa: N802
        try:
            return await super().Enrol(request, context)
        except ServiceError as error:
            if error.violation is not None and error.violation.field == "photos[1]":
                self.enrol(self.galleries[request.gallery], request.identity, self.decoded(request.photos[:1]))
            raise


@mutants_of_both("gallery-bad-fields")
class TakesAnyForm(ConformingGalleries):
    """Takes an identity in any of Unicode's normal forms."""

    def is_normal(self, identity: str) -> bool:
        return True


@mutants_of_both("gallery-bad-fields")
class TakesLineFeeds(ConformingGalleries):
    """Takes an identity with a line feed in it."""

    def is_printable(self, identity: str) -> bool:
        return bool(identity)


@mutants_of_both("gallery-bad-fields")
class EnrolsTheNameless(ConformingGalleries):
    """Enrols an identity without a name."""

    def is_printable(self, identity: str) -> bool:
        return identity.isprintable()


@mutants_of_both("gallery-bad-fields")
class TakesNegativeSeconds(ConformingGalleries):
    """Takes a negative number of seconds for none."""

    def check_seconds(self, seconds: int) -> None:
        pass


# States


@mutants_of_both("gallery-states")
class SealsNobody(ConformingGalleries):
    """Seals a gallery in which nobody is enrolled."""

    def check_seal(self, gallery: ClientGallery) -> None:
        pass


@mutants_of_both("gallery-states")
class DerivesFromTheUnsealed(ConformingGalleries):
    """Derives from a gallery that is not sealed."""

    def base(self, name: str) -> ClientGallery:
        return self.found(name, field="base")


@mutants_of_both("gallery-states")
class SearchesTheUnsealed(ConformingGalleries):
    """Searches a gallery that is not sealed."""

    def sealed(self, name: str, *, field: str) -> ClientGallery:
        return self.found(name, field=field) if field == "gallery" else super().sealed(name, field=field)


@mutants_of_both("gallery-states")
class EnrolsInTheSealed(ConformingGalleries):
    """Enrols in a gallery that is sealed."""

    def unsealed(self, name: str) -> ClientGallery:
        return self.found(name, field="gallery")


@mutants_of_both("gallery-states")
class NamesNoFieldOfAState(ConformingGalleries):
    """Refuses to seal an empty gallery without saying which field it is about."""

    def check_seal(self, gallery: ClientGallery) -> None:
        try:
            super().check_seal(gallery)
        except ServiceError as error:
            raise ServiceError(error.message, code=error.code, reason=error.reason) from error


# What is not there


@mutants_of_both("gallery-unknown")
class TellsOfTheDeleted(ConformingGalleries):
    """Says of a gallery that was deleted that it was."""

    def __init__(self, own: Any) -> None:
        super().__init__(own)
        self.deleted: set[str] = set()

    def forget(self, name: str) -> None:
        super().forget(name)
        self.deleted.add(name)

    def unknown(self, name: str, *, field: str) -> ServiceError:
        known = ["one that was not deleted"] if name in self.deleted else []
        return not_found(field, name, known=known)


@mutants_of_both("gallery-unknown")
class RefusesToDeleteWhatIsNotThere(ConformingGalleries):
    """Refuses to delete a gallery that is not there."""

    def forget(self, name: str) -> None:
        self.found(name, field="gallery")
        super().forget(name)


@mutants_of_both("gallery-unknown")
class SearchesTheDeleted(ConformingGalleries):
    """Searches a gallery that was deleted."""

    def __init__(self, own: Any) -> None:
        super().__init__(own)
        self.deleted: dict[str, ClientGallery] = {}

    def forget(self, name: str) -> None:
        if name in self.galleries:
            self.deleted[name] = self.galleries[name]
        super().forget(name)

    def sealed(self, name: str, *, field: str) -> ClientGallery:
        return self.deleted.get(name) or super().sealed(name, field=field)


@mutants_of_both("gallery-unknown")
class TakesDefaultForAClientsGallery(ConformingGalleries):
    """Searches its own gallery where the gallery `default` is asked for."""

    def sealed(self, name: str, *, field: str) -> ClientGallery:
        if name == DEFAULT and field == "gallery":
            return ClientGallery(dict(self.own), MAX_SECONDS, time.monotonic(), sealed=True)
        return super().sealed(name, field=field)


@mutants_of_both("gallery-unknown")
class NamesAnotherField(ConformingGalleries):
    """Names the same field whichever holds the name of a gallery that is not there."""

    def unknown(self, name: str, *, field: str) -> ServiceError:
        return super().unknown(name, field="gallery")


@mutants_of_both("gallery-expiry")
class NeverForgets(ConformingGalleries):
    """Keeps a gallery until it is deleted."""

    def has_expired(self, gallery: ClientGallery) -> bool:
        return False


@mutants_of_both("gallery-expiry")
class KeepsAsLongAsItLikes(ConformingGalleries):
    """Keeps a gallery for ten minutes whatever is asked for."""

    async def CreateGallery(  # noqa: N802
        self, request: gallery_pb2.CreateGalleryRequest, context: Context
    ) -> gallery_pb2.CreateGalleryResponse:
        self.check_seconds(request.seconds)
        request.seconds = MAX_SECONDS
        return await super().CreateGallery(request, context)


# Derived galleries


@mutants_of_both("gallery-derived")
class DerivesNothing(ConformingGalleries):
    """Begins an empty gallery whatever its base."""

    def photos_of_base(self, base: str) -> dict[str, tuple[EnrolledPhoto, ...]]:
        super().photos_of_base(base)
        return {}


@mutants_of_both("gallery-derived")
class AddsToTheBasesPhotos(ConformingGalleries):
    """Adds photos to those that the base has of an identity."""

    def replace(self, gallery: ClientGallery, identity: str, photos: tuple[EnrolledPhoto, ...]) -> None:
        super().replace(gallery, identity, (*gallery.photos.get(identity, ()), *photos))


@mutants_of_both("gallery-derived")
class ChangesTheBase(ConformingGalleries):
    """Exchanges photos in the base of a gallery too."""

    def photos_of_base(self, base: str) -> dict[str, tuple[EnrolledPhoto, ...]]:
        return self.base(base).photos if base not in ("", DEFAULT) else super().photos_of_base(base)


@mutants_of_both("gallery-derived")
class GoesWithItsBase(ConformingGalleries):
    """Forgets what was derived from a gallery together with it."""

    def __init__(self, own: Any) -> None:
        super().__init__(own)
        self.derived: dict[str, set[str]] = {}

    async def CreateGallery(  # noqa: N802
        self, request: gallery_pb2.CreateGalleryRequest, context: Context
    ) -> gallery_pb2.CreateGalleryResponse:
        created = await super().CreateGallery(request, context)
        self.derived.setdefault(request.base, set()).add(created.gallery)
        return created

    def forget(self, name: str) -> None:
        super().forget(name)
        for each in self.derived.pop(name, ()):
            self.forget(each)


@mutants_of_both("gallery-derived")
class SearchesTheBasesPhotos(ConformingGalleries):
    """Compares with the photos that the base had of an identity, whose photos were exchanged."""

    def replace(self, gallery: ClientGallery, identity: str, photos: tuple[EnrolledPhoto, ...]) -> None:
        before = gallery.photos.get(identity)
        super().replace(gallery, identity, photos)
        if before:
            self.outdated[id(gallery)] = {identity: before}

    def __init__(self, own: Any) -> None:
        super().__init__(own)
        self.outdated: dict[int, Mapping[str, tuple[EnrolledPhoto, ...]]] = {}

    def sealed(self, name: str, *, field: str) -> ClientGallery:
        gallery = super().sealed(name, field=field)
        return replace(gallery, photos={**gallery.photos, **self.outdated.get(id(gallery), {})})


@mutants_of_both("gallery-default")
class HasNoDefault(ConformingGalleries):
    """Does not know its own gallery as a base."""

    def photos_of_base(self, base: str) -> dict[str, tuple[EnrolledPhoto, ...]]:
        if base == DEFAULT:
            raise self.unknown(base, field="base")
        return super().photos_of_base(base)


@mutants_of_both("gallery-default")
class LosesSomebody(ConformingGalleries):
    """Leaves the last identity of its own gallery out of what is derived from it."""

    def photos_of_base(self, base: str) -> dict[str, tuple[EnrolledPhoto, ...]]:
        photos = super().photos_of_base(base)
        return dict(list(photos.items())[:-1]) if base == DEFAULT else photos


@mutants_of_both("gallery-default")
class OneMoreInPlaceOfAnother(ConformingGalleries):
    """Has room for as many identities as its own gallery has, and drops one for each that is enrolled beyond."""

    def replace(self, gallery: ClientGallery, identity: str, photos: tuple[EnrolledPhoto, ...]) -> None:
        super().replace(gallery, identity, photos)
        while len(gallery.photos) > len(self.own):
            gallery.photos.pop(next(iter(gallery.photos)))


# What enrolment must not change


@mutant("protector.gallery-apart")
class ProtectorListsTheEnrolled(ConformingProtector):
    """States another gallery of its own while a client has one."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        stated = super().gallery_of(name)
        return {**stated, "gallery_sha256": "f" * 64} if stated and self.galleries.galleries else stated


@mutant("invader.gallery-apart")
class InvaderListsTheEnrolled(ConformingInvader):
    """States another gallery of its own while a client has one."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        stated = super().gallery_of(name)
        return {**stated, "gallery_sha256": "f" * 64} if stated and self.galleries.galleries else stated


@mutant("protector.gallery-apart")
class ProtectorsDigestOfGalleries(ConformingProtector):
    """Sends a deid-models-digest that the galleries of clients are part of."""

    async def send_models_digest(self, context: Context) -> None:
        listed = protector_pb2.ListSourceModelsResponse(
            source_models=self.listed().source_models, enrols=bool(self.galleries.galleries)
        )
        await send_models_digest(context, models_digest(listed))


@mutant("invader.gallery-apart")
class InvadersDigestOfGalleries(ConformingInvader):
    """Sends a deid-models-digest that the galleries of clients are part of."""

    async def send_models_digest(self, context: Context) -> None:
        listed = invader_pb2.ListTargetModelsResponse(
            target_models=self.listed().target_models, enrols=bool(self.galleries.galleries)
        )
        await send_models_digest(context, models_digest(listed))


@mutant("protector.gallery-apart")
class CraftsAgainstAll(ConformingProtector):
    """Crafts against the galleries of clients too where its own is asked for."""

    def templates(self, request: Craft) -> str:
        return super().templates(request) or " and others" * len(self.galleries.galleries)


@mutant("invader.gallery-apart")
class RanksAllTogether(ConformingInvader):
    """Ranks the identities of its own gallery otherwise while a client has one."""

    def logits(self, photo: Pixels, name: str, request: Query) -> Reals:
        logits = super().logits(photo, name, request)
        return logits if request.gallery or not self.galleries.galleries else logits[::-1]


# What is asked of a gallery


@mutant("invader.gallery-search")
class IgnoresTheGallery(ConformingInvader):
    """Searches its own gallery whichever is asked for."""

    def check(self, request: Query) -> None:
        request.gallery = ""
        super().check(request)


@mutant("invader.gallery-search")
class NamesAsEnrolled(ConformingInvader):
    """Takes the order in which identities were enrolled for that of classes, where it names candidates."""

    def candidates(self, photo: Pixels, name: str, request: Query) -> list[invader_pb2.Candidate]:
        candidates = super().candidates(photo, name, request)
        if request.gallery:
            ordered = self.label_set_of(name, request)
            enrolled = list(self.galleries.galleries[request.gallery].photos)
            for each in candidates:
                each.identity = enrolled[ordered.index(each.identity)]
        return candidates


@mutant("invader.gallery-search")
class CompletesFromItsOwn(ConformingInvader):
    """Answers with as many candidates as are asked for, from its own gallery where the client's has fewer."""

    def most_candidates(self, request: Query) -> int:
        return self.max_candidates

    def candidates(self, photo: Pixels, name: str, request: Query) -> list[invader_pb2.Candidate]:
        candidates = super().candidates(photo, name, request)
        own = [invader_pb2.Candidate(identity=identity) for identity in self.label_sets[name]]
        return [*candidates, *own][: request.k]


@mutant("invader.gallery-search")
class HasNoThresholdsForClients(ConformingInvader):
    """Says of its own gallery alone what reaches a threshold."""

    def reached(self, photo: Pixels, name: str, request: Query) -> list[invader_pb2.Reached]:
        return [] if request.gallery else super().reached(photo, name, request)


@mutant("invader.gallery-classifiers")
class ClassifiesAllTheSame(ConformingInvader):
    """Asks a classifier as ever where a gallery is named."""

    def check_gallery(self, request: Query) -> None:
        pass

    def label_set_of(self, name: str, request: Query) -> Sequence[str]:
        return super().label_set_of(name, request) if name in self.matchers else self.label_sets[name]

    def logits(self, photo: Pixels, name: str, request: Query) -> Reals:
        own = Query(image=request.image, target_models=request.target_models, k=request.k, region=request.region)
        return super().logits(photo, name, request if name in self.matchers else own)


@mutant("invader.gallery-budget")
class ChargesEnrolments(ConformingInvader):
    """Charges a query for each photo that is enrolled."""

    def left(self) -> int:
        return super().left() - sum(len(each.photos) for each in self.galleries.galleries.values())


@mutant("invader.gallery-budget")
class SearchesOfClientsAreFree(ConformingInvader):
    """Charges nothing for a search in a client's gallery."""

    def answer(self, photo: Pixels, request: Query) -> invader_pb2.ClassifyResponse:
        self.used -= bool(request.gallery)
        return super().answer(photo, request)


@mutant("protector.gallery-craft")
class CraftsForAnybody(ConformingProtector):
    """Crafts for an identity that the gallery does not have, but its own has."""

    def label_set_of(self, name: str, request: Craft) -> Sequence[str]:
        return [*super().label_set_of(name, request), *self.label_sets[name]]


@mutant("protector.gallery-craft")
class KnowsItsOwnIdentitiesAlone(ConformingProtector):
    """Looks an identity up in its own gallery whichever is asked for."""

    def label_set_of(self, name: str, request: Craft) -> Sequence[str]:
        return self.label_sets[name]


@mutant("protector.gallery-craft")
class CraftsAgainstNames(ConformingProtector):
    """Crafts against the identities of a gallery, whatever their photos."""

    def templates(self, request: Craft) -> str:
        return request.gallery and " ".join(self.galleries.identities(request.gallery))


@mutant("protector.gallery-own-photo")
class LeavesNothingOut(ConformingProtector):
    """Keeps the photo that it cloaks in the template of its identity."""

    def left_in(self, photos: Sequence[EnrolledPhoto], request: Craft) -> Sequence[EnrolledPhoto]:
        return photos


@mutant("protector.gallery-classifiers")
class CraftsWithAClassifier(ConformingProtector):
    """Crafts with a classifier where a gallery is named."""

    def check_matcher(self, name: str) -> None:
        pass


@mutants_of_both("error-texts")
class TellsWhereGalleriesAre(ConformingGalleries):
    """Tells the path at which it looks for a gallery."""

    def unknown(self, name: str, *, field: str) -> ServiceError:
        return invalid_argument(field, expected="a gallery", actual=f"none at /var/lib/galleries/{name[:20]}/index")


class _TakesAnythingForADeletion(Conforming):
    def register(self, server: Server) -> None:
        handler = grpc.unary_unary_rpc_method_handler(
            self.galleries.DeleteGallery,
            request_deserializer=lambda request: gallery_pb2.DeleteGalleryRequest(),
            response_serializer=gallery_pb2.DeleteGalleryResponse.SerializeToString,
        )
        super().register(server)
        server.grpc.add_registered_method_handlers(GALLERIES.full_name, {"DeleteGallery": handler})

    @asynccontextmanager
    async def serving(self, tls: TlsMaterial | None = None) -> AsyncIterator[str]:
        with unbounded_envelopes():
            async with super().serving(tls) as address:
                yield address


@mutant("protector.malformed")
class ProtectorTakesAnythingForADeletion(_TakesAnythingForADeletion, ConformingProtector):
    """Answers bytes that are no message as a request to delete a gallery."""


@mutant("invader.malformed")
class InvaderTakesAnythingForADeletion(_TakesAnythingForADeletion, ConformingInvader):
    """Answers bytes that are no message as a request to delete a gallery."""


# Whether it enrols


@mutants_of_both("enrols")
class OnlySaysThatItEnrols(ConformingGalleries):
    """States that it enrols, and creates no galleries."""

    async def CreateGallery(  # noqa: N802
        self, request: gallery_pb2.CreateGalleryRequest, context: Context
    ) -> gallery_pb2.CreateGalleryResponse:
        raise ServiceError("there are none", code=grpc.StatusCode.UNIMPLEMENTED, reason="INVALID_ARGUMENT")


@mutant("protector.enrols")
class ProtectorEnrolsInSecret(ConformingProtector):
    """Enrols photos of clients, and does not state it."""

    enrols = False

    def register(self, server: Server) -> None:
        super().register(server)
        gallery_pb2_grpc.add_GalleryServiceServicer_to_server(self.galleries, server.grpc)


@mutant("invader.enrols")
class InvaderEnrolsInSecret(ConformingInvader):
    """Enrols photos of clients, and does not state it."""

    enrols = False

    def register(self, server: Server) -> None:
        super().register(server)
        gallery_pb2_grpc.add_GalleryServiceServicer_to_server(self.galleries, server.grpc)


@mutant("protector.enrols")
class ProtectorEnrolsForNoMatcher(ConformingProtector):
    """States that it enrols, and has no matcher."""

    matchers = ()
    enrols = True


@mutant("invader.enrols")
class InvaderEnrolsForNoMatcher(ConformingInvader):
    """States that it enrols, and has no matcher."""

    matchers = ()
    enrols = True
