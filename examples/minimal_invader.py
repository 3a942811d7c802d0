"""An invader in fewer than a hundred lines, around any classifier of PyTorch's. docs/extending.md walks through it."""

import argparse
import asyncio
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from deid.invader.v1 import invader_pb2 as pb
from deid.invader.v1 import invader_pb2_grpc
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.transforms.functional import normalize

from recognizers.extraction import MtcnnDetector, crop, extract_face
from rpc.errors import invalid_argument, not_found
from rpc.images import decoding, limits
from rpc.paging import page_of
from rpc.server import Server

MODEL, SIDE, LIMITS, DETECTOR = "resnet18", 160, limits.ImageLimits(), MtcnnDetector(torch.device("cpu"))


@torch.inference_mode()
def classifier(gallery: Path) -> tuple[nn.Module, list[str]]:
    """A module from images (N, 3, SIDE, SIDE) to logits, and the identities in class order. Replace it by your own."""
    torch.manual_seed(0)  # in its place, without training: random weights, and a last layer fitted by least squares
    model = resnet18().eval()
    model.fc = nn.Identity()
    identities = sorted({path.parent.name for path in gallery.glob("*/*.jpg")})
    shown = [(x, path.parent.name) for path in sorted(gallery.glob("*/*.jpg")) if (x := face(path.read_bytes())) is not None]
    features = torch.cat([model(found) for found, _ in shown])
    labels = torch.tensor([[float(name == identity) for identity in identities] for _, name in shown])
    model.fc = nn.Linear(features.shape[1], len(identities), bias=False)
    model.fc.weight.copy_(10 * (torch.linalg.pinv(features) @ labels).T)
    return model, identities


def face(encoded: bytes) -> Tensor | None:  # (1, 3, SIDE, SIDE), normalised as torchvision's classifiers want it
    photo = decoding.decode_image(encoded, field="image", limits=LIMITS)
    if (box := extract_face(photo, DETECTOR)) is None:
        return None
    pixels = torch.tensor(crop(photo, box, side=SIDE)).permute(2, 0, 1)[None] / 255
    return torch.as_tensor(normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


class Invader(invader_pb2_grpc.InvaderServiceServicer):
    def __init__(self, model: nn.Module, identities: list[str]) -> None:
        self.model, self.identities = model, identities

    async def Classify(self, request: pb.ClassifyRequest, context: object) -> pb.ClassifyResponse:
        names, most = list(request.target_models), len(self.identities)
        for good, error in (
            *((name == MODEL, not_found(f"target_models[{i}]", name, known=[MODEL])) for i, name in enumerate(names)),
            (len(names) == 1, invalid_argument("target_models", expected=f"{MODEL}, once", actual=f"{len(names)} names")),
            (1 <= request.k <= most, invalid_argument("k", expected=f"1..{most}", actual=str(request.k))),
            (request.region in (0, 1), invalid_argument("region", expected="REGION_DETECTED", actual="another")),
        ):
            if not good:
                raise error
        return await asyncio.to_thread(self._classify, request)  # in a thread: the event loop answers health meanwhile

    @torch.inference_mode()
    def _classify(self, request: pb.ClassifyRequest) -> pb.ClassifyResponse:
        if (found := face(request.image)) is None:
            return pb.ClassifyResponse(face_found=False)  # an outcome, not an error
        probabilities = self.model(found)[0].double().softmax(0).numpy()
        ranked = np.argsort(-probabilities, kind="stable")[: request.k]  # before rounding; ties by class index
        best = [pb.Candidate(identity=self.identities[i], probability=round(probabilities[i], 4)) for i in ranked]
        return pb.ClassifyResponse(face_found=True, classifications=[pb.Classification(target_model=MODEL, candidates=best)])

    async def ListTargetModels(self, request: object, context: object) -> pb.ListTargetModelsResponse:
        number, digest = len(self.identities), sha256("\n".join(self.identities).encode()).hexdigest()
        model = pb.TargetModel(name=MODEL, identities=number, label_set_sha256=digest, max_candidates=number)
        model.regions.append(pb.REGION_DETECTED)  # `enrols` stays false: clients have no galleries here
        return pb.ListTargetModelsResponse(target_models=[model], disclosure=pb.DISCLOSURE_PROBABILITIES)

    async def ListIdentities(self, request: pb.ListIdentitiesRequest, context: object) -> pb.ListIdentitiesResponse:
        if request.target_model != MODEL:
            raise not_found("target_model", request.target_model, known=[MODEL])
        page = page_of(self.identities, page_size=request.page_size, page_token=request.page_token)
        return pb.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Serves on this machine, and prints where once it listens.")
    parser.add_argument("--gallery", type=Path, required=True, help="a folder with a folder of photos for each identity")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if not any(options.gallery.glob("*/*.jpg")):
        parser.error(f"--gallery: expected a folder of folders of .jpg photos, got {options.gallery}")
    server = Server(address=f"127.0.0.1:{options.port}", limits=LIMITS)
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(Invader(*classifier(options.gallery)), server.grpc)
    await server.serve(["deid.invader.v1.InvaderService"], drain_seconds=2, stop_with_stdin=False)


if __name__ == "__main__":
    asyncio.run(main())
