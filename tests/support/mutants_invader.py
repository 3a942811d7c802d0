"""Invaders that are wrong in one way each."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import numpy as np
from deid.invader.v1 import invader_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc.error_details_pb2 import DebugInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection
from numpy.typing import NDArray
from PIL import Image

from rpc.errors import IDENTITIES_NOT_LISTED, QUERY_BUDGET_SPENT, ServiceError, invalid_argument
from rpc.images.limits import ImageLimits
from rpc.models_digest import send_models_digest
from rpc.paging import Page
from rpc.server import Server
from rpc.tls import TlsMaterial
from tests.support.conforming import IDENTITIES, ConformingInvader, Context, Pixels
from tests.support.mutants import mutant, unbounded_envelopes
from tests.support.mutants_protector import of_another_domain

Request = invader_pb2.ClassifyRequest
Answer = invader_pb2.ClassifyResponse
Candidates = list[invader_pb2.Candidate]
ReachedBy = list[invader_pb2.Reached]

# Lists


@mutant("invader.models")
class PromisesTooMany(ConformingInvader):
    """States more candidates than its label sets have."""

    async def ListTargetModels(  # noqa: N802
        self, request: invader_pb2.ListTargetModelsRequest, context: Context
    ) -> invader_pb2.ListTargetModelsResponse:
        listed = await super().ListTargetModels(request, context)
        for model in listed.target_models:
            model.max_candidates = model.identities + 1
        return listed


@mutant("invader.stated")
class SaysItsExtractionInLines(ConformingInvader):
    """Says in several lines how it cuts faces out."""

    def listed(self) -> invader_pb2.ListTargetModelsResponse:
        listed = super().listed()
        for model in listed.target_models:
            model.extraction = "MTCNN\nthe largest face"
        return listed


@mutant("invader.models")
class ListsNoRegion(ConformingInvader):
    """Lists the region that requests leave out."""

    def regions_of(self, name: str) -> Sequence["invader_pb2.Region.ValueType"]:
        return (invader_pb2.REGION_UNSPECIFIED, *super().regions_of(name))


@mutant("invader.stated")
class SaysItsMatchingInLines(ConformingInvader):
    """Says in several lines how its matcher compares."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        return {**super().gallery_of(name), "matching": "one template a photo\nEuclidean distance"}


@mutant("invader.kinds")
class GallerysDigestInCapitals(ConformingInvader):
    """States the digest of a gallery in capitals."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        stated = super().gallery_of(name)
        return {**stated, "gallery_sha256": stated["gallery_sha256"].upper()} if stated else {}


@mutant("invader.kinds")
class ClassifierWithAThreshold(ConformingInvader):
    """Lists a threshold of a classifier."""

    def listed(self) -> invader_pb2.ListTargetModelsResponse:
        listed = super().listed()
        listed.target_models[0].thresholds.add(name="given")
        return listed


@mutant("invader.kinds")
class OfAKindOfItsOwn(ConformingInvader):
    """States a kind that the schema does not have."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        return {**super().gallery_of(name), "kind": 7}


@mutant("invader.gallery-order")
class ListsAsEnrolled(ConformingInvader):
    """Lists enrolled identities in the order of their enrolment."""

    label_sets: Mapping[str, Sequence[str]] = {"third": [*IDENTITIES[2:], *IDENTITIES[:2]]}


@mutant("invader.label-sets")
class ListsInAnotherOrder(ConformingInvader):
    """Lists the identities in another order than the classes."""

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        return super().page([*identities[1:], identities[0]], page_size, page_token)


@mutant("invader.pages")
class PagesAsItLikes(ConformingInvader):
    """Sends pages of seven identities whatever is asked for."""

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        return super().page(identities, 7 if page_size > 0 else page_size, page_token)


@mutant("invader.models-digest")
class OffersAnewWithEveryAnswer(ConformingInvader):
    """Sends another deid-models-digest with every answer."""

    answers = 0

    async def send_models_digest(self, context: Context) -> None:
        self.answers += 1
        await send_models_digest(context, hashlib.sha256(str(self.answers).encode()).hexdigest())


@mutant("invader.models-digest")
class OffersNoDigest(ConformingInvader):
    """Sends in deid-models-digest what is no digest."""

    async def send_models_digest(self, context: Context) -> None:
        await send_models_digest(context, "first,second")


# Faces


@mutant("invader.face")
class OverlooksFaces(ConformingInvader):
    """Finds no face in half of the photos."""

    def has_face(self, photo: Pixels, request: Request) -> bool:
        return super().has_face(photo, request) and int(photo.sum()) % 2 == 0


@mutant("invader.face")
class AnswersInItsOwnOrder(ConformingInvader):
    """Answers target models in its own order."""

    def models(self, request: Request) -> Sequence[str]:
        return sorted(request.target_models)


@mutant("invader.no-face")
class NoFaceIsAnError(ConformingInvader):
    """Refuses an image without a face."""

    def has_face(self, photo: Pixels, request: Request) -> bool:
        if not super().has_face(photo, request):
            raise invalid_argument("image", expected="a face", actual="none", reason="NO_FACE")
        return True


@mutant("invader.no-face")
class NamesNobody(ConformingInvader):
    """Names somebody in an image without a face."""

    def has_face(self, photo: Pixels, request: Request) -> bool:
        return True


@mutant("invader.region")
class ReadsAsItAlwaysDid(ConformingInvader):
    """Lists the region of whole images, and looks for faces all the same."""

    def has_face(self, photo: Pixels, request: Request) -> bool:
        return bool(photo.min() < photo.max())


@mutant("invader.region")
class ReadsTheSameSquare(ConformingInvader):
    """Reads the middle of an image, and where it is to be read whole too."""

    def face(self, photo: Pixels, request: Request) -> Pixels:
        return super().face(photo, Request(region=invader_pb2.REGION_DETECTED))


@mutant("invader.region")
class ReadsWholeImagesForAll(ConformingInvader):
    """Reads a whole image although one of several target models does not list that region."""

    def check(self, request: Request) -> None:
        if request.region == invader_pb2.REGION_FULL and len(request.target_models) > 1:
            request = Request(target_models=request.target_models, k=request.k)
        super().check(request)


@mutant("invader.region")
class TakesNegativeReadings(ConformingInvader):
    """Takes a negative region for none."""

    def check(self, request: Request) -> None:
        if request.region < 0:
            request.region = invader_pb2.REGION_UNSPECIFIED
        super().check(request)


# What an image is taken for


@mutant("invader.formats")
class Clips16Bits(ConformingInvader):
    """Takes samples of 16 bits above 255 for white."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            return np.asarray(image.convert("RGB")) if image.mode.startswith("I") else photo


@mutant("invader.orientation")
class IgnoresOrientation(ConformingInvader):
    """Takes an image as its pixels lie, whatever EXIF says."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            return np.asarray(image.convert("RGB")) if image.format == "JPEG" else photo


@mutant("invader.transparency")
class DropsAlpha(ConformingInvader):
    """Drops the alpha channel instead of laying the image over white."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            return np.asarray(image.convert("RGB")) if image.mode == "RGBA" else photo


# Candidates


@mutant("invader.k")
class OneTooFew(ConformingInvader):
    """Answers with one candidate less where several are asked for."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        return super().candidates(photo, name, request)[: max(1, request.k - 1)]


@mutant("invader.distinct")
class RepeatsItself(ConformingInvader):
    """Answers with the first candidate once more in the last place."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        candidates = super().candidates(photo, name, request)
        candidates[-1].identity = candidates[0].identity
        return candidates


@mutant("invader.members")
class AppendsAnEmbedding(ConformingInvader):
    """Appends an embedding to an identity."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        candidates = super().candidates(photo, name, request)
        candidates[0].identity += "#3d2c9f7ea1"
        return candidates


@mutant("invader.members")
class AppendsAnEmbeddingToNamesThatNobodyKnows(ConformingInvader):
    """Does not list its identities, and appends an embedding to each."""

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        raise ServiceError("not listed", code=grpc.StatusCode.PERMISSION_DENIED, reason=IDENTITIES_NOT_LISTED)

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        candidates = super().candidates(photo, name, request)
        embedding = ",".join(f"{value:.5f}" for value in self.probabilities(photo, name, request))
        for candidate in candidates:
            candidate.identity += f"|{embedding}"
        return candidates


@mutant("invader.members")
class MarksNamesThatNobodyKnows(ConformingInvader):
    """Does not list its identities, and appends a part of an embedding to each, in hexadecimal."""

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        raise ServiceError("not listed", code=grpc.StatusCode.PERMISSION_DENIED, reason=IDENTITIES_NOT_LISTED)

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        candidates = super().candidates(photo, name, request)
        embedding = hashlib.sha256(photo.tobytes()).hexdigest()
        for candidate in candidates:
            candidate.identity += embedding[:8]
        return candidates


@mutant("invader.sorted")
class Unsorted(ConformingInvader):
    """Answers with the candidates in the order of classes."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        return sorted(super().candidates(photo, name, request), key=lambda each: each.identity)


@mutant("invader.probabilities")
class FinerThanFourPlaces(ConformingInvader):
    """Answers with probabilities as they were computed."""

    def disclosed(self, probability: float) -> float:
        return probability


@mutant("invader.probabilities")
class LogitsForProbabilities(ConformingInvader):
    """Answers with logits."""

    def disclosed(self, probability: float) -> float:
        return round(12 + float(np.log(probability)), 4)


@mutant("invader.probabilities")
class DisclosesMoreThanItSays(ConformingInvader):
    """Says that it discloses a ranking only, and discloses probabilities."""

    disclosure = invader_pb2.DISCLOSURE_RANKED


@mutant("invader.scores")
class DisclosesScores(ConformingInvader):
    """Answers with the scores of its matcher."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        candidates = super().candidates(photo, name, request)
        if name in self.matchers:
            candidates[0].probability = round(float(self.probabilities(photo, name, request).max()), 4)
        return candidates


# Thresholds


class _Calibrates(ConformingInvader):
    """Lists a threshold otherwise."""

    def calibrations(self) -> list[invader_pb2.Threshold]:
        listed = super().calibrations()
        self.change(listed)
        return listed

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        """Changes fmr:0.001, fpir:0.01, fpir:0.1 and given."""
        raise NotImplementedError


@mutant("invader.thresholds")
class ListsThresholdsByRate(_Calibrates):
    """Lists thresholds by their rates, the largest first."""

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        listed[1], listed[2] = listed[2], listed[1]


@mutant("invader.thresholds")
class RateWithAnExponent(_Calibrates):
    """Spells a rate with an exponent."""

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        listed[1].name = "fpir:1e-2"


@mutant("invader.thresholds")
class ReachedTooOften(_Calibrates):
    """Lists a threshold that more comparisons reach than its rate allows."""

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        listed[1].false_positives = 11


@mutant("invader.thresholds")
class CalibratedOnNobody(_Calibrates):
    """Lists a rate, and no comparisons that it was calibrated on."""

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        listed[0].comparisons = listed[0].false_positives = 0


@mutant("invader.thresholds")
class GivenAndCalibrated(_Calibrates):
    """Lists comparisons of a threshold that was given."""

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        listed[3].comparisons = 1000


@mutant("invader.thresholds")
class ListsManyThresholds(_Calibrates):
    """Lists a threshold for each of a hundred rates."""

    def change(self, listed: list[invader_pb2.Threshold]) -> None:
        listed[1:3] = [invader_pb2.Threshold(name=f"fpir:0.{rate:03}1", comparisons=1000) for rate in range(100)]


@mutant("invader.reached")
class LeavesAThresholdOut(ConformingInvader):
    """Leaves out thresholds that no candidate reaches."""

    thresholds: Mapping[str, float] = {**ConformingInvader.thresholds, "fpir:0.01": 2.0}

    def reached(self, photo: Pixels, name: str, request: Request) -> ReachedBy:
        return [each for each in super().reached(photo, name, request) if each.candidates]


@mutant("invader.reached")
class CountsTheWholeGallery(ConformingInvader):
    """Says how many of the whole gallery reach a threshold."""

    thresholds: Mapping[str, float] = {**ConformingInvader.thresholds, "fpir:0.1": 0.0}

    def reached(self, photo: Pixels, name: str, request: Request) -> ReachedBy:
        return super().reached(photo, name, Request(k=len(self.label_sets[name])))


@mutant("invader.reached")
class StricterIsReachedByMore(ConformingInvader):
    """Mixes up two thresholds."""

    thresholds: Mapping[str, float] = {**ConformingInvader.thresholds, "fpir:0.01": 0.07, "fpir:0.1": 0.09}


@mutant("invader.reached")
class ClassifierReaches(ConformingInvader):
    """Says of a classifier, which lists no threshold, that a candidate reaches one."""

    def reached(self, photo: Pixels, name: str, request: Request) -> ReachedBy:
        return super().reached(photo, name, request) or [invader_pb2.Reached(threshold="given", candidates=1)]


@mutant("invader.reached-prefix")
class CountsWhatWasNotAsked(ConformingInvader):
    """Says in a shorter answer too how many of the first eight candidates reach a threshold."""

    def reached(self, photo: Pixels, name: str, request: Request) -> ReachedBy:
        return super().reached(photo, name, Request(k=8))


@mutant("invader.reached-prefix")
class SaysWhetherOnly(ConformingInvader):
    """Says in a shorter answer whether a threshold is reached, and not by how many."""

    def reached(self, photo: Pixels, name: str, request: Request) -> ReachedBy:
        return super().reached(photo, name, Request(k=request.k if request.k == 8 else 1))


@mutant("invader.prefix")
class AnotherTopOne(ConformingInvader):
    """Answers with the second candidate where one is asked for."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        if request.k > 1:
            return super().candidates(photo, name, request)
        return super().candidates(photo, name, Request(k=2))[1:]


# Determinism


@mutant("invader.repeatable")
class RemembersTheLastImage(ConformingInvader):
    """Mixes what it answered last into its answer."""

    last = 0.0

    def probabilities(self, photo: Pixels, name: str, request: Request) -> NDArray[np.float64]:
        probabilities = super().probabilities(photo, name, request)
        mixed = np.roll(probabilities, int(self.last))
        self.last = photo.sum() % 7
        return np.asarray(mixed)


@mutant("invader.alone")
class ModelsMix(ConformingInvader):
    """Lets target models that are asked together vote."""

    def probabilities(self, photo: Pixels, name: str, request: Request) -> NDArray[np.float64]:
        votes = [super(ModelsMix, self).probabilities(photo, each, request) for each in request.target_models]
        return np.asarray(np.mean(votes, axis=0))


@mutant("invader.under-load")
class SwapsAnswersUnderLoad(ConformingInvader):
    """Answers otherwise while it works on several calls."""

    seconds = 0.005

    def probabilities(self, photo: Pixels, name: str, request: Request) -> NDArray[np.float64]:
        return np.roll(super().probabilities(photo, name, request), self.in_flight - 1)


# Bad input


@mutant("invader.bad-image")
class TakesBrokenImagesForFaceless(ConformingInvader):
    """Finds no face in an image that it cannot read."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError:
            return np.zeros((8, 8, 3), dtype=np.uint8)


@mutant("invader.formats")
class KnowsColourOnly(ConformingInvader):
    """Refuses images that are grey, or not RGB."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode != "RGB":
                raise invalid_argument("image", expected="an RGB image", actual=image.mode)
        return photo


@mutant("invader.large-image")
class LimitsOfTheLibrary(ConformingInvader):
    """Takes messages of 4 MiB, as its library does unless it is told."""

    limits = ImageLimits(max_bytes=3 * 2**20)


@mutant("invader.limits")
class BreaksOnBombs(ConformingInvader):
    """Breaks on an image that promises more pixels than it takes."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError as error:
            if "pixels" in error.message:
                raise MemoryError from error
            raise


@mutant("invader.bad-k")
class CutsK(ConformingInvader):
    """Answers with as many candidates as it has where more are asked for."""

    def check(self, request: Request) -> None:
        request.k = min(request.k, self.max_candidates)
        super().check(request)


@mutant("invader.bad-k")
class ErrorsOfItsOwnDomain(ConformingInvader):
    """Sends errors of another domain than the schema's."""

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        try:
            self.check(request)
        except ServiceError as error:
            await context.abort(error.code, error.message, of_another_domain(error))
        return await super().Classify(request, context)


@mutant("invader.bad-models")
class NamesNoField(ConformingInvader):
    """Refuses what it does not know without saying which field it is about."""

    def check(self, request: Request) -> None:
        try:
            super().check(request)
        except ServiceError as error:
            raise ServiceError("bad request", code=error.code, reason=error.reason) from error


@mutant("invader.bad-models")
class LeavesUnknownModelsOut(ConformingInvader):
    """Leaves out target models that it does not know."""

    def check(self, request: Request) -> None:
        known = [name for name in request.target_models if name in self.label_sets]
        if known:
            del request.target_models[:]
            request.target_models.extend(known)
        super().check(request)


@mutant("invader.malformed")
class TakesAnythingForARequest(ConformingInvader):
    """Answers bytes that are no message."""

    def register(self, server: Server) -> None:
        handler = grpc.unary_unary_rpc_method_handler(
            self.ListTargetModels,
            request_deserializer=lambda request: invader_pb2.ListTargetModelsRequest(),
            response_serializer=invader_pb2.ListTargetModelsResponse.SerializeToString,
        )
        super().register(server)
        server.grpc.add_registered_method_handlers(self.service_name, {"ListTargetModels": handler})

    @asynccontextmanager
    async def serving(self, tls: TlsMaterial | None = None) -> AsyncIterator[str]:
        with unbounded_envelopes():
            async with super().serving(tls) as address:
                yield address


@mutant("invader.newer-client")
class RefusesNewerClients(ConformingInvader):
    """Refuses a request with a field that it does not know."""

    def check(self, request: Request) -> None:
        if len(UnknownFieldSet(request)):
            raise invalid_argument("request", expected="known fields", actual="others")
        super().check(request)


# What leaves it


@mutant("invader.fields")
class HidesAnEmbedding(ConformingInvader):
    """Sends an embedding in a field that the schema does not have, within a candidate."""

    def candidates(self, photo: Pixels, name: str, request: Request) -> Candidates:
        candidates = super().candidates(photo, name, request)
        candidates[0].MergeFromString(b"\x7a\x40" + bytes(range(64)))  # field 15
        return candidates


@mutant("invader.fields")
class ListsAnotherField(ConformingInvader):
    """Sends a number in a field that the schema does not have, in its list of target models."""

    async def ListTargetModels(  # noqa: N802
        self, request: invader_pb2.ListTargetModelsRequest, context: Context
    ) -> invader_pb2.ListTargetModelsResponse:
        listed = await super().ListTargetModels(request, context)
        listed.MergeFromString(b"\x78\x2a")  # field 15
        return listed


@mutant("invader.metadata")
class TellsInTrailers(ConformingInvader):
    """Sends how long its network took in a trailer."""

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        context.set_trailing_metadata((("x-forward-ms", "12.25"),))
        return await super().Classify(request, context)


@mutant("invader.metadata")
class EmbeddingForARequestId(ConformingInvader):
    """Sends an embedding in a key that requests have."""

    async def send_models_digest(self, context: Context) -> None:
        await context.send_initial_metadata((("x-request-id", "0.1250," * 200),))


@mutant("invader.metadata")
class EmbeddingForAnOffer(ConformingInvader):
    """Sends an embedding in deid-models-digest."""

    async def send_models_digest(self, context: Context) -> None:
        await send_models_digest(context, "0.1250," * 200)


@mutant("invader.error-texts")
class TellsAnException(ConformingInvader):
    """Tells what a network raised."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError as error:
            raise invalid_argument("image", expected="an image", actual="a tensor of shape 0") from error


@mutant("invader.error-texts")
class SendsAStackTrace(ConformingInvader):
    """Sends a stack trace in the details of an error."""

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        if request.k < 1:
            packed = AnyMessage()
            packed.Pack(DebugInfo(stack_entries=["classifier.py:42"]))
            status = Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="k", details=[packed])
            trailers = (("grpc-status-details-bin", status.SerializeToString()),)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "k", trailers)
        return await super().Classify(request, context)


@mutant("invader.error-texts")
class ContradictsItself(ConformingInvader):
    """Sends details of an error that contradict its status."""

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        if request.k < 1:
            status = Status(code=grpc.StatusCode.INTERNAL.value[0], message="another")
            trailers = (("grpc-status-details-bin", status.SerializeToString()),)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "k", trailers)
        return await super().Classify(request, context)


@mutant("invader.other-methods")
class Reflects(ConformingInvader):
    """Answers reflection on the port that is queried."""

    def register(self, server: Server) -> None:
        super().register(server)
        reflection.enable_server_reflection((self.service_name, reflection.SERVICE_NAME), server.grpc)


# Budget


@mutant("invader.budget")
class ChargesEveryModel(ConformingInvader):
    """Charges one query for every target model."""

    @contextmanager
    def charged(self, request: Request) -> Iterator[None]:
        with super().charged(request):
            yield
        self.used += len(request.target_models) - 1


@mutant("invader.budget")
class NoFaceIsFree(ConformingInvader):
    """Charges nothing where it finds no face."""

    def answer(self, photo: Pixels, request: Request) -> Answer:
        self.used -= not self.has_face(photo, request)
        return super().answer(photo, request)


@mutant("invader.budget")
class WholeImagesAreFree(ConformingInvader):
    """Charges nothing where a whole image is read."""

    @contextmanager
    def charged(self, request: Request) -> Iterator[None]:
        with super().charged(request):
            self.used -= request.region == invader_pb2.REGION_FULL
            yield


@mutant("invader.budget")
class LosesCountOfConcurrentQueries(ConformingInvader):
    """Counts queries that come at the same time as one."""

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        before = self.used
        await asyncio.sleep(0.005)  # reads the count, and writes it later
        self.used = before
        return await super().Classify(request, context)


@mutant("invader.budget-errors")
class ChargesWhatItRefuses(ConformingInvader):
    """Charges a query whose image it cannot read."""

    @contextmanager
    def charged(self, request: Request) -> Iterator[None]:
        try:
            with super().charged(request):
                yield
        except ServiceError as error:
            self.used += error.reason != QUERY_BUDGET_SPENT
            raise


@mutant("invader.budget-spent")
class GoesOnAnswering(ConformingInvader):
    """Answers on when the budget is spent."""

    budget = 30

    def spent(self) -> ServiceError:
        self.used -= 1
        return super().spent()

    @contextmanager
    def charged(self, request: Request) -> Iterator[None]:
        if self.used >= self.budget:
            yield
        else:
            with super().charged(request):
                yield


@mutant("invader.budget-spent")
class AsksToComeBack(ConformingInvader):
    """Refuses for good without saying so."""

    budget = 30

    def spent(self) -> ServiceError:
        spent = super().spent()
        return ServiceError(spent.message, code=spent.code, reason=spent.reason)


# Lifetime


class _LosesPlaces(ConformingInvader):
    seconds = 0.4  # calls are left within a fraction of it, and arrive before
    places = 4

    def is_lost(self, context: Context) -> bool:
        """Whether the place of a call that nobody waits for is never given back."""
        raise NotImplementedError

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        if self.places <= 0:
            text = "all places are taken"
            raise ServiceError(text, code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=QUERY_BUDGET_SPENT, retry_after_ms=-1)
        try:
            return await super().Classify(request, context)
        except asyncio.CancelledError:
            self.places -= self.is_lost(context)
            raise


@mutant("invader.cancellation")
class LosesThePlacesOfCancelledCalls(_LosesPlaces):
    """Never gives back the place of a call that was cancelled."""

    def is_lost(self, context: Context) -> bool:
        left = context.time_remaining()
        return left is None or left > 1


@mutant("invader.deadline")
class LosesThePlacesOfExpiredCalls(_LosesPlaces):
    """Never gives back the place of a call whose deadline passed."""

    def is_lost(self, context: Context) -> bool:
        left = context.time_remaining()
        return left is not None and left <= 1


@mutant("invader.health")
class SaysNothingOfItself(ConformingInvader):
    """Tells the health of the server, and not of the service by its name."""

    async def start(self, server: Server) -> None:
        await server.start([])


@mutant("invader.health-under-load")
class LooksDeadWhenItWorks(ConformingInvader):
    """Says NOT_SERVING while it classifies."""

    seconds = 0.02

    async def start(self, server: Server) -> None:
        await super().start(server)
        self.health = server.health

    async def Classify(self, request: Request, context: Context) -> Answer:  # noqa: N802
        await self.health.set(self.service_name, health_pb2.HealthCheckResponse.NOT_SERVING)
        return await super().Classify(request, context)
