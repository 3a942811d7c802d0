"""A protector in about a hundred lines: it blurs faces, within a budget. docs/extending.md walks through it."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from hashlib import sha256

import numpy as np
from deid.protector.v1 import protector_pb2 as pb
from deid.protector.v1 import protector_pb2_grpc
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from rpc.errors import NO_FACE, invalid_argument, not_found
from rpc.images.decoding import decode_image, encode_jpeg, encode_png
from rpc.images.limits import ImageLimits
from rpc.lookup import distinct, look_up
from rpc.paging import page_of
from rpc.server import Server

MODEL, SIDE, LIMITS = "lens", 160, ImageLimits()  # a source model by name only; the size of probes; the largest photos


def blur(probe: NDArray[np.uint8], epsilon: int, seed: int) -> NDArray[np.uint8]:
    """Every pixel goes as far towards the blurred picture as the budget lets it. This is the function to replace."""
    blurred = np.asarray(Image.fromarray(probe).filter(ImageFilter.GaussianBlur(SIDE / 16)), dtype=int)
    return (probe + np.clip(blurred - probe, -epsilon, epsilon)).astype(np.uint8)


def noise(probe: NDArray[np.uint8], epsilon: int, seed: int) -> NDArray[np.uint8]:
    """Plus or minus epsilon, by seed, budget and probe alone; with the budget 0, which "none" has, the probe itself."""
    random = np.random.default_rng([seed, epsilon, *sha256(probe.tobytes()).digest()])
    return np.asarray((probe + random.choice([-epsilon, epsilon], probe.shape)).clip(0, 255), dtype=np.uint8)


def budget(field: str, epsilon: int) -> int:
    """A budget of a request, if it is one."""
    if not 0 <= epsilon <= 255:
        raise invalid_argument(field, expected="0..255", actual=f"{epsilon}")
    return epsilon


METHODS = {"blur": blur, "noise": noise, "none": noise}  # sorted by name, as they are listed; the last two are controls


class Protector(protector_pb2_grpc.ProtectorServiceServicer):
    def __init__(self, identities: list[str]) -> None:
        self.identities, self.digest = identities, sha256("\n".join(identities).encode()).hexdigest()

    async def Craft(self, request: pb.CraftRequest, context: object) -> AsyncIterator[pb.CraftResponse]:
        methods = distinct("methods", request.methods, partial(look_up, known=METHODS))
        budgets = distinct("epsilons", request.epsilons, budget) or list(request.methods) == ["none"]
        jpeg, png, quality = request.storage.HasField("jpeg"), request.storage.HasField("png"), request.storage.jpeg.quality
        for good, error in (
            (request.source_model == MODEL, not_found("source_model", request.source_model, known=[MODEL])),
            (request.identity in ["", *self.identities], not_found("identity", request.identity)),  # no method needs it
            (methods, invalid_argument("methods", expected="at least one", actual="none")),
            (budgets, invalid_argument("epsilons", expected="at least one", actual="none")),
            (jpeg or png, invalid_argument("storage", expected="jpeg or png", actual="neither")),
            (png or 1 <= quality <= 100, invalid_argument("storage.jpeg.quality", expected="1..100", actual=f"{quality}")),
        ):
            if not good:
                raise error
        for cloak in await asyncio.to_thread(lambda: list(cloaks(request))):  # the event loop answers health meanwhile
            yield cloak

    async def ListSourceModels(self, request: object, context: object) -> pb.ListSourceModelsResponse:
        model = pb.SourceModel(name=MODEL, input_size=SIDE, identities=len(self.identities), label_set_sha256=self.digest)
        # `enrols` stays false: nothing is enrolled from clients, and there is no GalleryService.
        return pb.ListSourceModelsResponse(source_models=[model])

    async def ListMethods(self, request: pb.ListMethodsRequest, context: object) -> pb.ListMethodsResponse:
        costs = [pb.BudgetCost(epsilon=each) for each in distinct("epsilons", request.epsilons, budget)]  # no gradients
        listed = [pb.Method(name=m, description=str(f.__doc__), control=f is noise, costs=costs) for m, f in METHODS.items()]
        return pb.ListMethodsResponse(methods=listed)

    async def ListIdentities(self, request: pb.ListIdentitiesRequest, context: object) -> pb.ListIdentitiesResponse:
        if request.source_model != MODEL:
            raise not_found("source_model", request.source_model, known=[MODEL])
        page = page_of(self.identities, page_size=request.page_size, page_token=request.page_token)
        return pb.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)


def cloaks(request: pb.CraftRequest) -> Iterator[pb.CraftResponse]:  # of the photo's middle; with a detector, of its face
    probe = np.asarray(ImageOps.fit(Image.fromarray(decode_image(request.photo, field="photo", limits=LIMITS)), (SIDE,) * 2))
    if probe.min() == probe.max():
        raise invalid_argument("photo", expected="a face", actual="one colour", reason=NO_FACE)
    for method, epsilon in [(m, e) for m in request.methods for e in ([0] if m == "none" else sorted(request.epsilons))]:
        pixels, quality = METHODS[method](probe, epsilon, request.seed), request.storage.jpeg.quality
        cloak = encode_jpeg(pixels, quality=quality) if quality else encode_png(pixels)
        change = abs(pixels.astype(int) - probe).max()  # before storage
        sent = pb.CraftResponse(method=method, epsilon=epsilon, side=SIDE, cloak=cloak, largest_change=change)
        sent.cloak_sha256, sent.probe_sha256 = (sha256(each).hexdigest() for each in (cloak, probe.tobytes()))
        yield sent


async def main() -> None:
    parser = argparse.ArgumentParser(description="Serves on this machine, and prints where once it listens.")
    parser.add_argument("--labels", type=argparse.FileType(encoding="utf-8"), required=True, help="identities, one a line")
    parser.add_argument("--port", type=int, default=0)
    server = Server(address=f"127.0.0.1:{(options := parser.parse_args()).port}", limits=LIMITS)
    protector_pb2_grpc.add_ProtectorServiceServicer_to_server(Protector(list(map(str.strip, options.labels))), server.grpc)
    await server.serve(["deid.protector.v1.ProtectorService"], drain_seconds=2, stop_with_stdin=False)


if __name__ == "__main__":
    asyncio.run(main())
