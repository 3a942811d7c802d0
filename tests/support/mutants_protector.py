"""Protectors that are wrong in one way each."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
from deid.protector.v1 import protector_pb2
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rpc.errors import BUSY, IDENTITIES_NOT_LISTED, ServiceError, invalid_argument
from rpc.images.decoding import (
    encode_jpeg,
    encode_png,
)
from rpc.images.limits import ImageLimits
from rpc.models_digest import send_models_digest
from rpc.paging import Page
from rpc.server import Server
from rpc.status import STATUS_KEY, trailers_of
from rpc.tls import TlsMaterial
from tests.support.conforming import ConformingProtector, Context, Crafted, Levels, Pixels, Reals, label_set_sha256
from tests.support.mutants import mutant, unbounded_envelopes

Request = protector_pb2.CraftRequest
Response = protector_pb2.CraftResponse
Storage = protector_pb2.Storage

# Lists


@mutant("protector.models")
class UnsortedModels(ConformingProtector):
    """Lists its source models in no order."""

    async def ListSourceModels(  # noqa: N802
        self, request: protector_pb2.ListSourceModelsRequest, context: Context
    ) -> protector_pb2.ListSourceModelsResponse:
        listed = await super().ListSourceModels(request, context)
        return protector_pb2.ListSourceModelsResponse(source_models=list(listed.source_models)[::-1])


@mutant("protector.models")
class ListsItsEnsembles(ConformingProtector):
    """Lists an ensemble among its source models."""

    def listed(self) -> protector_pb2.ListSourceModelsResponse:
        listed = super().listed()
        ensemble = protector_pb2.SourceModel()
        ensemble.CopyFrom(listed.source_models[0])
        ensemble.name = "first+third"
        return protector_pb2.ListSourceModelsResponse(
            source_models=[listed.source_models[0], ensemble, *listed.source_models[1:]]
        )

    def label_set(self, name: str, *, field: str) -> Sequence[str]:
        return super().label_set("first" if name == "first+third" else name, field=field)


@mutant("protector.methods")
class NoiseIsAMethod(ConformingProtector):
    """Does not mark the noise control as a control."""

    controls: Mapping[str, bool] = {**ConformingProtector.controls, "noise": False}


@mutant("protector.methods")
class NoiseOfSomebody(ConformingProtector):
    """Says that its noise control needs a label set."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        method = super().method(name, epsilons)
        method.needs_label_set |= name == "noise"
        return method


@mutant("protector.methods")
class NoiseOfItsOwnSize(ConformingProtector):
    """Says that its noise control has a budget of its own."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        method = super().method(name, epsilons)
        if name == "noise":
            method.own_budget.CopyFrom(self.own_budgets["veil"])
        return method


@mutant("protector.methods")
class BudgetWithoutABound(ConformingProtector):
    """States no largest change for the budget of a method's own."""

    own_budgets: Mapping[str, protector_pb2.OwnBudget] = {"veil": protector_pb2.OwnBudget(in_words="hardly to be seen")}


@mutant("protector.methods")
class CloaksBoth(ConformingProtector):
    """Says that a method is meant for a picture of another kind than there is."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        method = super().method(name, epsilons)
        method.carrier = "both" if name == "veil" else method.carrier
        return method


@mutant("protector.costs")
class OwnBudgetAtEveryEpsilon(ConformingProtector):
    """States what a method with a budget of its own costs at each epsilon."""

    def costed(self, name: str, epsilons: Sequence[int]) -> Sequence[int]:
        return epsilons


@mutant("protector.complete")
class RunsItsOwnBudgetForEachEpsilon(ConformingProtector):
    """Sends the cloak of a method with a budget of its own once for each epsilon."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        times = max(1, len(request.epsilons))
        return [pair for pair in super().row(request) for _ in range(times if pair[0] in self.own_budgets else 1)]


@mutant("protector.complete")
class NamesAnEpsilonForItsOwnBudget(ConformingProtector):
    """States the request's smallest epsilon for the cloak of a method with a budget of its own."""

    async def response(self, method: str, epsilon: int, probe: Pixels, request: Request) -> Response:
        response = await super().response(method, epsilon, probe, request)
        if method in self.own_budgets:
            response.epsilon = min(request.epsilons, default=0)
        return response


@mutant("protector.budget")
class LeavesItsOwnBudget(ConformingProtector):
    """Changes pixels by more than the largest change that a method's own budget states."""

    def bound(self, method: str, epsilon: int) -> int:
        return super().bound(method, epsilon) + (method in self.own_budgets)


@mutant("protector.stated")
class SaysItsBudgetInLines(ConformingProtector):
    """Says in several lines what the budget of a method's own is."""

    own_budgets: Mapping[str, protector_pb2.OwnBudget] = {
        "veil": protector_pb2.OwnBudget(in_words="hardly\nto be seen", largest_change=6)
    }


@mutant("protector.stated")
class SaysMuchOfItsDetector(ConformingProtector):
    """Says more of its extraction than a page can hold."""

    def listed(self) -> protector_pb2.ListSourceModelsResponse:
        listed = super().listed()
        for model in listed.source_models:
            model.extraction = "a cascade of networks, and then " * 20
        return listed


@mutant("protector.stated")
class SaysItsStepsInLines(ConformingProtector):
    """Says how its methods step in several lines."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        method = super().method(name, epsilons)
        method.parameters["n_iter"] = "one for each level\nand four more"
        return method


@mutant("protector.stated")
class ListsItsWeights(ConformingProtector):
    """States a parameter of a method in more characters than a line can hold."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        method = super().method(name, epsilons)
        method.parameters["kernel"] = "0.0039, " * 225
        return method


@mutant("protector.stated")
class SaysMuchOfItsTemplates(ConformingProtector):
    """Says more of its templates than a page can hold."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        return {**super().gallery_of(name), "matching": "the mean of some photos, and then " * 20}


@mutant("protector.kinds")
class ClassifierWithAGallery(ConformingProtector):
    """States the digest of a gallery for a classifier."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        return super().gallery_of(name) or {"gallery_sha256": "a" * 64}


@mutant("protector.kinds")
class MatcherWithoutADigest(ConformingProtector):
    """Does not say which gallery its matcher compares with."""

    def gallery_of(self, name: str) -> dict[str, Any]:
        return {**super().gallery_of(name), "gallery_sha256": ""}


@mutant("protector.gallery-order")
class ListsAsEnrolled(ConformingProtector):
    """Lists enrolled identities in the order of their enrolment."""

    matchers = ("second",)


@mutant("protector.label-sets")
class DigestOfSortedIdentities(ConformingProtector):
    """Takes the digest of a label set over sorted identities."""

    def digest(self, identities: Sequence[str]) -> str:
        return label_set_sha256(sorted(identities))


@mutant("protector.pages")
class LosesTheLastOfAPage(ConformingProtector):
    """Loses the last identity of every page but the last."""

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        page = super().page(identities, page_size, page_token)
        return Page(page.identities[:-1], page.next_page_token) if page.next_page_token else page


@mutant("protector.label-sets")
class KeepsItsIdentitiesToItself(ConformingProtector):
    """Does not list its identities, as an invader may do."""

    def page(self, identities: Sequence[str], page_size: int, page_token: str) -> Page:
        raise ServiceError("not listed", code=grpc.StatusCode.PERMISSION_DENIED, reason=IDENTITIES_NOT_LISTED)


@mutant("protector.models-digest")
class OffersAnewWithEveryAnswer(ConformingProtector):
    """Sends another deid-models-digest with every answer."""

    answers = 0

    async def send_models_digest(self, context: Context) -> None:
        self.answers += 1
        await send_models_digest(context, hashlib.sha256(str(self.answers).encode()).hexdigest())


# The probe


@mutant("protector.probe")
class DigestOfThePhoto(ConformingProtector):
    """States the digest of the photo as that of the probe."""

    async def response(self, method: str, epsilon: int, probe: Pixels, request: Request) -> Response:
        response = await super().response(method, epsilon, probe, request)
        response.probe_sha256 = hashlib.sha256(request.photo).hexdigest()
        return response


@mutant("protector.probe")
class LossyLosslessControl(ConformingProtector):
    """Sends as the lossless control what a JPEG left of the probe."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        if method == "none":
            pixels = reread(encode_jpeg(pixels, quality=95))
        return super().encode(pixels, storage, method=method)


@mutant("protector.control")
class ControlOfTheIdentity(ConformingProtector):
    """Crops the face otherwise for another identity."""

    def probe(self, photo: Pixels, request: Request) -> Pixels:
        return super().probe(np.roll(photo, len(request.identity) + ord(request.identity[-1]), axis=1), request)


@mutant("protector.geometry")
class PaletteCloaks(ConformingProtector):
    """Stores cloaks as PNG with a palette."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        if method == "none":
            return super().encode(pixels, storage, method=method)
        return saved(Image.fromarray(pixels).convert("P"), "PNG")


@mutant("protector.geometry")
class SmallerCloaks(ConformingProtector):
    """Leaves a cloak's last row out."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        return super().encode(pixels if method == "none" else pixels[:-1], storage, method=method)


@mutant("protector.geometry")
class SignsItsCloaks(ConformingProtector):
    """Writes a text of kilobytes into cloaks, beside the pixels."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        beside = PngInfo()
        beside.add_text("of", f"{method} " * 500)
        return saved(Image.fromarray(pixels), "PNG", pnginfo=beside)


@mutant("protector.geometry")
class CorrectsGamma(ConformingProtector):
    """Writes a gamma into cloaks, by which some decoders show other levels."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        beside = PngInfo()
        beside.add(b"gAMA", (16384).to_bytes(4, "big"))
        return saved(Image.fromarray(pixels), "PNG", pnginfo=beside)


@mutant("protector.orientation")
class IgnoresOrientation(ConformingProtector):
    """Takes a photo as its pixels lie, whatever EXIF says."""

    def photo(self, encoded: bytes) -> Pixels:
        super().photo(encoded)
        return reread(encoded)


@mutant("protector.transparency")
class DropsAlpha(ConformingProtector):
    """Drops the alpha channel instead of laying the photo over white."""

    def photo(self, encoded: bytes) -> Pixels:
        whole = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            return reread(encoded) if image.mode == "RGBA" else whole


# Budgets


@mutant("protector.budget")
class OneLevelOver(ConformingProtector):
    """Clips at one level more than the budget."""

    def clip(self, x: Levels, *, previous: Levels, probe: Levels, epsilon: int) -> Levels:
        return super().clip(x, previous=previous, probe=probe, epsilon=epsilon + 1)


@mutant("protector.budget")
class ClipsAroundThePreviousIterate(ConformingProtector):
    """Clips around the iterate before, not around the probe."""

    def clip(self, x: Levels, *, previous: Levels, probe: Levels, epsilon: int) -> Levels:
        return super().clip(x, previous=previous, probe=previous, epsilon=epsilon)


@mutant("protector.budget")
class WrapsAround(ConformingProtector):
    """Lets levels beyond 255 wrap around."""

    def clip(self, x: Levels, *, previous: Levels, probe: Levels, epsilon: int) -> Levels:
        return np.clip(x, probe - epsilon, probe + epsilon) % 256

    def probe(self, photo: Pixels, request: Request) -> Pixels:
        probe = super().probe(photo, request)
        return np.where(probe > 120, 255, probe).astype(np.uint8)  # of a photo with bright places


@mutant("protector.budget")
class DoublesLargeBudgets(ConformingProtector):
    """Changes twice as much as the budget above 64 levels."""

    def whole(self, levels: Levels, probe: Levels) -> Pixels:
        change = levels - probe
        return super().whole((probe + np.where(np.abs(change) > 64, 2, 1) * change).clip(0, 255), probe)


@mutant("protector.whole-levels")
class Truncates(ConformingProtector):
    """Computes in normalised pixels and cuts what is left of a level instead of rounding."""

    def whole(self, levels: Levels, probe: Levels) -> Pixels:
        if (levels == probe).all():
            return levels.astype(np.uint8)
        mean, deviation, most = np.float32(0.485), np.float32(0.229), np.float32(255)
        normalised = (levels.astype(np.float32) / most - mean) / deviation
        return ((normalised * deviation + mean) * most).clip(0).astype(np.uint8)


@mutant("protector.whole-levels")
class StepsOfTwo(ConformingProtector):
    """Steps by two levels."""

    def alpha(self, method: str, epsilon: int) -> int:
        return min(2, epsilon)


@mutant("protector.whole-levels")
class HalfAStep(ConformingProtector):
    """Takes fgsm's one step over half of the budget."""

    def alpha(self, method: str, epsilon: int) -> int:
        return (epsilon + 1) // 2 if method == "fgsm" else 1


@mutant("protector.largest-change")
class StatesTheBudget(ConformingProtector):
    """States the budget as the largest change."""

    async def response(self, method: str, epsilon: int, probe: Pixels, request: Request) -> Response:
        response = await super().response(method, epsilon, probe, request)
        response.largest_change = epsilon if method != "none" else 7
        return response


@mutant("protector.steps")
class AsManyStepsAsLevels(ConformingProtector):
    """Takes as many steps as the budget has levels."""

    def n_iter(self, method: str, epsilon: int) -> int:
        return epsilon


@mutant("protector.steps")
class TenStepsOfMomentum(ConformingProtector):
    """Takes ten steps of mi whatever the budget, as it was published."""

    def n_iter(self, method: str, epsilon: int) -> int:
        return min(10, 10 * epsilon) if method == "mi" else super().n_iter(method, epsilon)


@mutant("protector.budget-zero")
class AtLeastOneLevel(ConformingProtector):
    """Takes a budget of 0 for one of 1."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        return await super().crafted(method, probe, max(epsilon, 1), request)


@mutant("protector.noise")
class WeakNoise(ConformingProtector):
    """Draws noise evenly within the budget instead of at its ends."""

    def noisy(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        drawn = np.random.default_rng(seed).integers(-epsilon, epsilon, probe.shape, endpoint=True)
        return (probe + drawn).clip(0, 255)


@mutant("protector.noise")
class NoiseThatBrightens(ConformingProtector):
    """Adds the budget to three channels in four."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return np.maximum(super().signs(probe, epsilon, seed=seed), super().signs(probe, epsilon, seed=seed + 1))


@mutant("protector.noise")
class NoiseThatWrapsAround(ConformingProtector):
    """Adds noise in bytes, which wrap around."""

    def noisy(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return (probe + epsilon * self.signs(probe, epsilon, seed=seed)) % 256


@mutant("protector.noise")
class Checkerboard(ConformingProtector):
    """Adds a checkerboard for noise, which any filter takes out."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        row, column, _ = np.indices(probe.shape)
        return np.asarray((row + column + seed) % 2 * 2 - 1)


@mutant("protector.noise")
class GreyNoise(ConformingProtector):
    """Draws one sign for all channels of a pixel."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return np.repeat(super().signs(probe, epsilon, seed=seed)[..., :1], 3, axis=2)


@mutant("protector.zero-gradients")
class ShareInPercent(ConformingProtector):
    """States the share of zero gradients in percent."""

    async def response(self, method: str, epsilon: int, probe: Pixels, request: Request) -> Response:
        response = await super().response(method, epsilon, probe, request)
        response.zero_gradient_share *= 100
        return response


@mutant("protector.effect")
class DoesNothing(ConformingProtector):
    """Returns the probe as a cloak by illc."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted = await super().crafted(method, probe, epsilon, request)
        return replace(crafted, levels=probe) if method == "illc" else crafted


@mutant("protector.effect")
class ClaimsToHaveStalled(ConformingProtector):
    """Returns every probe, and states that all gradients were zero."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        if self.controls[method]:
            return await super().crafted(method, probe, epsilon, request)
        taken = self.n_iter(method, epsilon)
        return Crafted(probe, taken, float(taken > 0), taken)


@mutant("protector.effect")
class KeepsTheProbeOfDi(ConformingProtector):
    """Returns the probe as a cloak by di for one of its source models."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted = await super().crafted(method, probe, epsilon, request)
        return replace(crafted, levels=probe) if (method, request.source_model) == ("di", "second") else crafted


# Costs


@mutant("protector.costs")
class CostsInAscendingOrder(ConformingProtector):
    """States costs in ascending order of the budgets, whatever their order in the request."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        return super().method(name, sorted(epsilons))


@mutant("protector.costs")
class CostsOfItsOwnBudgets(ConformingProtector):
    """States the costs of some budgets where none are asked for."""

    def method(self, name: str, epsilons: Sequence[int]) -> protector_pb2.Method:
        return super().method(name, epsilons or [8])


@mutant("protector.costs")
class UnknownCosts(ConformingProtector):
    """States -1 for a cost that it does not know."""

    def cost(self, method: str, epsilon: int) -> protector_pb2.BudgetCost:
        cost = super().cost(method, epsilon)
        cost.forward_passes = -1 if method == "mi" else cost.forward_passes
        return cost


@mutant("protector.costs")
class NoiseThatCosts(ConformingProtector):
    """States that its noise control takes a forward pass."""

    def cost(self, method: str, epsilon: int) -> protector_pb2.BudgetCost:
        cost = super().cost(method, epsilon)
        cost.forward_passes = int(method == "noise")
        return cost


@mutant("protector.gradients")
class TakesMoreThanItStates(ConformingProtector):
    """States a cost without the forward passes of illc."""

    def cost(self, method: str, epsilon: int) -> protector_pb2.BudgetCost:
        cost = super().cost(method, epsilon)
        cost.forward_passes = 0
        return cost


@mutant("protector.gradients")
class NoiseThatTakesAForwardPass(ConformingProtector):
    """States a forward pass for a cloak of noise."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted = await super().crafted(method, probe, epsilon, request)
        return replace(crafted, forward_passes=1) if method == "noise" else crafted


@mutant("protector.gradients")
class CountsSharedGradientsOnce(ConformingProtector):
    """Counts the gradients that budgets share for the smallest of them only."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted = await super().crafted(method, probe, epsilon, request)
        smaller = [each for each in request.epsilons if each < epsilon]
        shared = self.n_iter(method, max(smaller)) if smaller and method == "bim" else 0
        return replace(crafted, gradients=crafted.gradients - shared)


@mutant("protector.gradients")
class CountsNothing(ConformingProtector):
    """States no gradients."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        return replace(await super().crafted(method, probe, epsilon, request), gradients=0)


# The stream


@mutant("protector.order")
class LargestFirst(ConformingProtector):
    """Sends the largest budget first."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        return super().row(request)[::-1]


@mutant("protector.complete")
class LeavesOneOut(ConformingProtector):
    """Leaves out the last of several cloaks."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        row = super().row(request)
        return row[:-1] if len(row) > len(self.controls) else row


@mutant("protector.complete")
class ControlForEveryBudget(ConformingProtector):
    """Sends the control once for every budget that is asked for."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        return [pair for pair in super().row(request) for _ in (request.epsilons if pair[0] == "none" else [0]) or [0]]


# Storage


@mutant("protector.digests")
class DigestOfPixels(ConformingProtector):
    """States the digest of a cloak's pixels, not of its bytes."""

    async def response(self, method: str, epsilon: int, probe: Pixels, request: Request) -> Response:
        response = await super().response(method, epsilon, probe, request)
        response.cloak_sha256 = hashlib.sha256(reread(response.cloak).tobytes()).hexdigest()
        return response


@mutant("protector.jpeg-control")
class EncodesTheControlTwice(ConformingProtector):
    """Encodes the control as JPEG twice."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        once = super().encode(pixels, storage, method=method)
        again = method == "none" and storage.WhichOneof("format") == "jpeg"
        return super().encode(reread(once), storage, method=method) if again else once


@mutant("protector.jpeg-control")
class QualityOfItsOwn(ConformingProtector):
    """Encodes at quality 75 whatever is asked for."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        return encode_png(pixels) if storage.WhichOneof("format") == "png" else encode_jpeg(pixels, quality=75)


@mutant("protector.jpeg-control")
class FullChroma(ConformingProtector):
    """Encodes JPEG without subsampling chroma."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        if storage.WhichOneof("format") == "png":
            return encode_png(pixels)
        return saved(Image.fromarray(pixels), "JPEG", quality=storage.jpeg.quality, subsampling="4:4:4")


@mutant("protector.jpeg-cloaks")
class KnowsTheStorage(ConformingProtector):
    """Crafts on what JPEG leaves of the probe where JPEG is asked for."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        if request.storage.WhichOneof("format") == "jpeg" and method != "none":
            stored = reread(encode_jpeg(probe.astype(np.uint8), quality=10)).astype(np.int64)
            return await super().crafted(method, stored, epsilon, request)
        return await super().crafted(method, probe, epsilon, request)


@mutant("protector.jpeg-control")
class CommentsItsCloaks(ConformingProtector):
    """Writes a comment of kilobytes into JPEGs."""

    def encode(self, pixels: Pixels, storage: Storage, *, method: str) -> bytes:
        if storage.WhichOneof("format") == "png":
            return encode_png(pixels)
        beside = {"subsampling": "4:2:0", "comment": f"{method} ".encode() * 500}
        return saved(Image.fromarray(pixels), "JPEG", quality=storage.jpeg.quality, **beside)


@mutant("protector.jpeg-cloaks")
class DoublesBudgetsAtOtherQualities(ConformingProtector):
    """Takes twice the budget where JPEG of another quality than 95 is asked for."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        other = request.storage.WhichOneof("format") == "jpeg" and request.storage.jpeg.quality != 95
        return await super().crafted(method, probe, min(255, 2 * epsilon) if other else epsilon, request)


# Determinism


@mutant("protector.repeatable")
class NoiseOfTheMoment(ConformingProtector):
    """Draws noise from the operating system, not from the seed."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return super().signs(probe, epsilon, seed=int.from_bytes(os.urandom(4), "big"))


@mutant("protector.alone")
class DependsOnWhatElseIsAsked(ConformingProtector):
    """Draws a cloak's noise by its place in the request."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        if method != "noise":
            return await super().crafted(method, probe, epsilon, request)
        place = self.row(request).index((method, epsilon))
        return Crafted(self.noisy(probe, epsilon, seed=request.seed + 1000 * place))


@mutant("protector.alone")
class KeepsItsMomentum(ConformingProtector):
    """Starts mi with the momentum that the budget before has ended with."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        smaller = sorted(each for each in request.epsilons if each < epsilon)
        self.before = smaller[-1] if smaller else 0
        return await super().crafted(method, probe, epsilon, request)

    def momentum_before(self, method: str, epsilon: int, probe: Levels) -> Reals:
        return self.before * self.gradient(probe, "the budget before") if method == "mi" else np.zeros(probe.shape)


@mutant("protector.under-load")
class ChangesUnderLoad(ConformingProtector):
    """Follows other gradients while it works on several calls, as networks do at another batch shape."""

    def gradient(self, x: Levels, label: str) -> Reals:
        return super().gradient(x, f"{label} of {self.in_flight}" if self.in_flight > 1 else label)


@mutant("protector.seed")
class StartsAtRandom(ConformingProtector):
    """Starts bim and illc at random, drawn from the seed."""

    def start_of(self, method: str, probe: Levels, request: Request, *, epsilon: int) -> Levels:
        return (probe + self.signs(probe, epsilon, seed=request.seed) * min(epsilon, 1)).clip(0, 255)


@mutant("protector.seed")
class NoiseWithoutASeed(ConformingProtector):
    """Draws the same noise whatever the seed."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return super().signs(probe, epsilon, seed=0)


@mutant("protector.seed")
class SeedOf32Bits(ConformingProtector):
    """Draws noise from the lower half of the seed."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return super().signs(probe, epsilon, seed=seed % 2**32)


@mutant("protector.seed")
class SeedAsADouble(ConformingProtector):
    """Draws noise from the seed in 53 bits, as JavaScript has numbers."""

    def signs(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return super().signs(probe, epsilon, seed=int(float(seed)))


@mutant("protector.seed")
class PgdThatIsBim(ConformingProtector):
    """Starts pgd at the probe."""

    def random_start(self, probe: Levels, epsilon: int, *, seed: int) -> Levels:
        return probe


@mutant("protector.seed")
class DiWithoutASeed(ConformingProtector):
    """Draws the same inputs of di whatever the seed."""

    def drawn_input(self, seed: int, step: int) -> str:
        return super().drawn_input(0, step)


# Ensembles


@mutant("protector.ensemble")
class AsksTheFirstMember(ConformingProtector):
    """Crafts with the first member of an ensemble alone."""

    def members(self, request: Request) -> Sequence[str]:
        return super().members(request)[:1]

    def probe(self, photo: Pixels, request: Request) -> Pixels:
        side = self.side(super().members(request))
        return np.asarray(Image.fromarray(photo).resize((side, side)))


@mutant("protector.ensemble")
class SizeOfTheFirstMember(ConformingProtector):
    """Crops probes of an ensemble to the input size of its first member."""

    def side(self, members: Sequence[str]) -> int:
        return super().side(members[:1])


@mutant("protector.ensemble")
class KnowsNoEnsembles(ConformingProtector):
    """Has no ensembles, and refuses them as names that it does not know."""

    def members(self, request: Request) -> Sequence[str]:
        self.label_set(request.source_model, field="source_model")
        return [request.source_model]


@mutant("protector.ensemble")
class AddsUpSteps(ConformingProtector):
    """Steps along the sign of each member's gradient in turn, beyond the budget."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted, members = await super().crafted(method, probe, epsilon, request), self.members(request)
        levels = (probe + len(members) * (crafted.levels - probe)).clip(0, 255)
        return replace(crafted, levels=levels)


@mutant("protector.bad-ensembles")
class SortsMembers(ConformingProtector):
    """Takes the members of an ensemble in any order."""

    def check_members(self, names: Sequence[str]) -> None:
        super().check_members(sorted(names))


@mutant("protector.bad-ensembles")
class MembersByThemselves(ConformingProtector):
    """Takes an ensemble of one member, named twice."""

    def check_members(self, names: Sequence[str]) -> None:
        super().check_members(list(dict.fromkeys(names)))


@mutant("protector.bad-ensembles")
class LeavesUnknownMembersOut(ConformingProtector):
    """Leaves out the members of an ensemble that it does not know."""

    def members(self, request: Request) -> Sequence[str]:
        known = [name for name in request.source_model.split("+") if name in self.label_sets]
        return super().members(Request(source_model="+".join(known) or request.source_model))


@mutant("protector.bad-ensembles")
class MixesLabelSets(ConformingProtector):
    """Takes the class of the first member's label set for that of all members."""

    def check_label_sets(self, label_sets: Sequence[Sequence[str]]) -> None:
        pass


# Placements


@mutant("protector.placements")
class ListsTheUnspecified(ConformingProtector):
    """Lists PLACEMENT_UNSPECIFIED as a placement."""

    placements = (protector_pb2.PLACEMENT_UNSPECIFIED, protector_pb2.PLACEMENT_CROP, protector_pb2.PLACEMENT_PHOTO)


@mutant("protector.placements")
class HasPhotosAlone(ConformingProtector):
    """Lists whole photos, and no crops."""

    placements = (protector_pb2.PLACEMENT_PHOTO,)

    def check_placement(self, request: Request) -> None:
        if request.placement != protector_pb2.PLACEMENT_CROP:
            super().check_placement(request)


@mutant("protector.crop-placement")
class CropsByName(ConformingProtector):
    """Crafts crops that are asked for by name from another seed."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        named = Request()
        named.CopyFrom(request)
        named.seed += request.placement == protector_pb2.PLACEMENT_CROP
        return await super().crafted(method, probe, epsilon, named)


@mutant("protector.photo-box")
class BoxOfTheLyingPhoto(ConformingProtector):
    """States the size of a photo as it is stored, and not as EXIF turns it."""

    async def Craft(self, request: Request, context: Context) -> AsyncIterator[Response]:  # noqa: N802
        async for response in super().Craft(request, context):
            if self.is_in_photo(request):
                with Image.open(io.BytesIO(request.photo)) as image:
                    response.photo_width, response.photo_height = image.size
            yield response


@mutant("protector.photo-box")
class BoxBesideTheFace(ConformingProtector):
    """States the right edge of the box for its left one."""

    def place(self, photo: Pixels, method: str) -> dict[str, int]:
        return super().place(photo, method) | {"left": self.box(photo)[2]}


@mutant("protector.photo-box")
class BoxOfEachMethod(ConformingProtector):
    """Places the cloaks of one method a pixel higher."""

    def place(self, photo: Pixels, method: str) -> dict[str, int]:
        place = super().place(photo, method)
        return place | {"top": place["top"] - (method == "illc")}


@mutant("protector.photo-control")
class ResizesTheBox(ConformingProtector):
    """Answers with the crop at the input size, and where it was cut out."""

    def probe(self, photo: Pixels, request: Request) -> Pixels:
        probe = super().probe(photo, request)
        side = self.side(self.members(request))
        return np.asarray(Image.fromarray(probe).resize((side, side)))


@mutant("protector.photo-control")
class BoxAPixelOff(ConformingProtector):
    """Counts the columns of a photo from 1."""

    def place(self, photo: Pixels, method: str) -> dict[str, int]:
        place = super().place(photo, method)
        return place | {"left": place["left"] + 1}


@mutant("protector.photo-budget")
class BudgetOfTheNetwork(ConformingProtector):
    """Bounds the change of what a source model sees of a box, and doubles it in the photo."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted = await super().crafted(method, probe, epsilon, request)
        if not self.is_in_photo(request):
            return crafted
        return replace(crafted, levels=(2 * crafted.levels - probe).clip(0, 255))


@mutant("protector.photo-budget")
class PhotosWithoutCloaks(ConformingProtector):
    """Answers with the box as it is, whatever the method."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        crafted = await super().crafted(method, probe, epsilon, request)
        return replace(crafted, levels=probe) if self.is_in_photo(request) else crafted


@mutant("protector.photo-storage")
class StoresBoxesAsJpeg(ConformingProtector):
    """Encodes a box as JPEG."""

    def check_placement(self, request: Request) -> None:
        pass


@mutant("protector.bad-placement")
class TakesAnyPlacementForACrop(ConformingProtector):
    """Answers with crops where it does not know the placement."""

    def check_placement(self, request: Request) -> None:
        if request.placement in self.placements:
            super().check_placement(request)


@mutant("protector.bad-placement")
class LeavesPhotosToOthers(ConformingProtector):
    """Lists crops alone, and answers a request for a photo with crops."""

    placements = (protector_pb2.PLACEMENT_CROP,)

    def is_in_photo(self, request: Request) -> bool:
        return False

    def check_placement(self, request: Request) -> None:
        pass


# Bad input


@mutant("protector.bad-image")
class MakesUpPhotos(ConformingProtector):
    """Takes grey noise for a photo that cannot be read."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError:
            return np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)


@mutant("protector.bad-image")
class NamesNoField(ConformingProtector):
    """Refuses a photo without saying which field it is about."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError as error:
            raise ServiceError("bad request", code=error.code, reason=error.reason) from error


@mutant("protector.no-face")
class NoFaceWithoutAReason(ConformingProtector):
    """Refuses a photo without a face as any bad argument."""

    def probe(self, photo: Pixels, request: Request) -> Pixels:
        try:
            return super().probe(photo, request)
        except ServiceError as error:
            raise invalid_argument("photo", expected="a face", actual="none") from error


@mutant("protector.formats")
class KnowsColourOnly(ConformingProtector):
    """Refuses photos that are grey, or not RGB."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode not in ("RGB", "RGBA"):
                raise invalid_argument("photo", expected="an RGB image", actual=image.mode)
        return photo


@mutant("protector.formats")
class Clips16Bits(ConformingProtector):
    """Takes samples of 16 bits above 255 for white."""

    def photo(self, encoded: bytes) -> Pixels:
        photo = super().photo(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            return reread(encoded) if image.mode.startswith("I") else photo


@mutant("protector.large-image")
class LimitsOfTheLibrary(ConformingProtector):
    """Takes messages of 4 MiB, as its library does unless it is told."""

    limits = ImageLimits(max_bytes=3 * 2**20)


@mutant("protector.limits")
class BreaksOnBombs(ConformingProtector):
    """Breaks on an image that promises more pixels than it takes."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError as error:
            if "pixels" in error.message:
                raise MemoryError from error
            raise


@mutant("protector.bad-epsilons")
class CutsBudgets(ConformingProtector):
    """Takes a budget of 256 for one of 255."""

    def check_epsilons(self, epsilons: Sequence[int]) -> None:
        super().check_epsilons([min(epsilon, 255) for epsilon in epsilons])


@mutant("protector.bad-epsilons")
class CostsOfAnything(ConformingProtector):
    """States costs of budgets that there are not."""

    async def ListMethods(  # noqa: N802
        self, request: protector_pb2.ListMethodsRequest, context: Context
    ) -> protector_pb2.ListMethodsResponse:
        return protector_pb2.ListMethodsResponse(
            methods=[self.method(name, request.epsilons) for name in sorted(self.controls)]
        )


@mutant("protector.bad-methods")
class LeavesUnknownMethodsOut(ConformingProtector):
    """Leaves out methods that it does not know."""

    def check(self, request: Request) -> None:
        if any(name in self.controls for name in request.methods):
            known = [name for name in request.methods if name in self.controls]
            del request.methods[:]
            request.methods.extend(known)
        super().check(request)


@mutant("protector.bad-names")
class KnowsEverybody(ConformingProtector):
    """Crafts for an identity that its source model does not know."""

    def check_names(self, request: Request) -> None:
        self.members(request)


@mutant("protector.bad-names")
class ErrorsOfItsOwnDomain(ConformingProtector):
    """Sends errors of another domain than the schema's."""

    async def Craft(self, request: Request, context: Context) -> AsyncIterator[Response]:  # noqa: N802
        try:
            self.check_names(request)
        except ServiceError as error:
            await context.abort(error.code, error.message, of_another_domain(error))
        async for response in super().Craft(request, context):
            yield response


@mutant("protector.no-identity")
class AsksWhoItIs(ConformingProtector):
    """Wants an identity for the controls too."""

    def needs_identity(self, request: Request) -> bool:
        return True


@mutant("protector.no-identity")
class CraftsForNobody(ConformingProtector):
    """Crafts without an identity whatever the method."""

    def needs_identity(self, request: Request) -> bool:
        return False


@mutant("protector.no-identity")
class NoiseOfTheIdentity(ConformingProtector):
    """Draws noise by the identity too."""

    async def crafted(self, method: str, probe: Levels, epsilon: int, request: Request) -> Crafted:
        if method != "noise":
            return await super().crafted(method, probe, epsilon, request)
        return Crafted(self.noisy(probe, epsilon, seed=request.seed + len(request.identity)))


@mutant("protector.bad-storage")
class StoresAsItLikes(ConformingProtector):
    """Stores as JPEG where no storage is asked for."""

    def check(self, request: Request) -> None:
        if request.storage.WhichOneof("format") is None:
            request.storage.jpeg.quality = 95
        super().check(request)


@mutant("protector.malformed")
class TakesAnythingForARequest(ConformingProtector):
    """Answers bytes that are no message."""

    def register(self, server: Server) -> None:
        handler = grpc.unary_unary_rpc_method_handler(
            self.ListMethods,
            request_deserializer=lambda request: protector_pb2.ListMethodsRequest(),
            response_serializer=protector_pb2.ListMethodsResponse.SerializeToString,
        )
        super().register(server)
        server.grpc.add_registered_method_handlers(self.service_name, {"ListMethods": handler})

    @asynccontextmanager
    async def serving(self, tls: TlsMaterial | None = None) -> AsyncIterator[str]:
        with unbounded_envelopes():
            async with super().serving(tls) as address:
                yield address


@mutant("protector.newer-client")
class RefusesNewerClients(ConformingProtector):
    """Refuses a request with a field that it does not know."""

    def check(self, request: Request) -> None:
        if len(UnknownFieldSet(request)):
            raise invalid_argument("request", expected="known fields", actual="others")
        super().check(request)


@mutant("protector.error-texts")
class TellsAPath(ConformingProtector):
    """Tells the path of its checkpoint in an error."""

    def check_names(self, request: Request) -> None:
        try:
            super().check_names(request)
        except ServiceError as error:
            text = f"{error.message}: no such class in /srv/checkpoints/facenet.pt"
            raise ServiceError(text, code=error.code, reason=error.reason, violation=error.violation) from error


@mutant("protector.error-texts")
class TellsAnException(ConformingProtector):
    """Tells the exception that a decoder raised."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError as error:
            raise invalid_argument("photo", expected="an image", actual="UnidentifiedImageError: cannot identify") from error


# Lifetime


class _LosesPlaces(ConformingProtector):
    step_seconds = 0.002
    places = 4

    def is_lost(self, context: Context) -> bool:
        """Whether the place of a call that nobody waits for is never given back."""
        raise NotImplementedError

    async def Craft(self, request: Request, context: Context) -> AsyncIterator[Response]:  # noqa: N802
        if self.places <= 0:
            text = "all places are taken"
            raise ServiceError(text, code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=BUSY, retry_after_ms=-1)
        try:
            async for response in super().Craft(request, context):
                yield response
        except asyncio.CancelledError:
            self.places -= self.is_lost(context)
            raise


@mutant("protector.cancellation")
class LosesThePlacesOfCancelledCalls(_LosesPlaces):
    """Never gives back the place of a call that was cancelled."""

    def is_lost(self, context: Context) -> bool:
        left = context.time_remaining()
        return left is None or left > 1


@mutant("protector.deadline")
class LosesThePlacesOfExpiredCalls(_LosesPlaces):
    """Never gives back the place of a call whose deadline passed."""

    def is_lost(self, context: Context) -> bool:
        left = context.time_remaining()
        return left is not None and left <= 1


@mutant("protector.health")
class SaysNothingOfItself(ConformingProtector):
    """Tells the health of the server, and not of the service by its name."""

    async def start(self, server: Server) -> None:
        await server.start([])


@mutant("protector.health")
class VouchesForEverybody(ConformingProtector):
    """Says SERVING of services that it does not have."""

    async def start(self, server: Server) -> None:
        await server.start([self.service_name, "no.such.Service"])


@mutant("protector.health-under-load")
class LooksDeadWhenItWorks(ConformingProtector):
    """Says NOT_SERVING while it crafts."""

    step_seconds = 0.0005

    async def start(self, server: Server) -> None:
        await super().start(server)
        self.health = server.health

    async def wait_for_device(self, steps: int) -> None:
        await self.health.set(self.service_name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await super().wait_for_device(steps)
        if self.in_flight == 1:
            await self.health.set(self.service_name, health_pb2.HealthCheckResponse.SERVING)


def reread(encoded: bytes) -> Pixels:
    """An encoded image's RGB levels as they lie."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


def saved(image: Image.Image, kind: str, **parameters: object) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **parameters)
    return buffer.getvalue()


def of_another_domain(error: ServiceError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailers of an error whose ErrorInfo is of another domain."""
    (_, sent), *_ = trailers_of(error)
    assert isinstance(sent, bytes)
    status = Status.FromString(sent)
    status.details[0].Pack(ErrorInfo(reason=error.reason, domain="example.org"))
    return ((STATUS_KEY, status.SerializeToString()),)
