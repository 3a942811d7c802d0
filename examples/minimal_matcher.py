"""An invader that compares faces with photos of enrolled people, by any embedding. docs/extending.md walks through it."""

import argparse
import asyncio
import logging
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from deid.invader.v1 import invader_pb2 as pb
from deid.invader.v1 import invader_pb2_grpc
from numpy.typing import NDArray
from PIL import Image

from recognizers.extraction import MtcnnDetector, crop, extract_face
from rpc.errors import invalid_argument, not_found
from rpc.images import decoding, limits
from rpc.paging import page_of
from rpc.server import Server

MODEL, LIMITS, DETECTOR = "pixels", limits.ImageLimits(), MtcnnDetector(torch.device("cpu"))
Vectors = NDArray[np.float64]


def embed(picture: NDArray[np.uint8]) -> Vectors | None:
    """A vector of unit length for the face in a picture (H, W, 3), RGB; None where none is found. Replace it by your own."""
    if (box := extract_face(picture, DETECTOR)) is None:
        return None
    grey = np.asarray(Image.fromarray(crop(picture, box, side=24)).convert("L"), dtype=float).ravel()
    return np.asarray((grey - grey.mean()) / np.linalg.norm(grey - grey.mean()))


class Matcher:
    """The gallery: FOLDER/IDENTITY/PHOTO.jpg. Each identity has one template, the mean of its photos' vectors."""

    def __init__(self, folder: Path) -> None:
        vectors: dict[str, list[Vectors]] = {}
        lines = set()
        for path in sorted(folder.glob("*/*.jpg")):
            identity, photo = path.parent.name, path.read_bytes()
            if (vector := embed(decoding.decode_image(photo, field="photo", limits=LIMITS))) is None:
                logging.warning("not enrolled: no face is found in %s", path)
                continue
            vectors.setdefault(identity, []).append(vector)
            lines.add(f"{identity}\t{sha256(photo).hexdigest()}".encode())
        self.identities = sorted(vectors, key=str.encode)  # who has no photo with a face is not enrolled
        self.sha256 = sha256(b"\n".join(sorted(lines))).hexdigest()
        means = np.stack([np.mean(vectors[identity], axis=0) for identity in self.identities])
        self.templates = means / np.linalg.norm(means, axis=1, keepdims=True)


class Invader(invader_pb2_grpc.InvaderServiceServicer):
    def __init__(self, matcher: Matcher, threshold: float) -> None:
        self.matcher, self.identities, self.threshold = matcher, matcher.identities, threshold

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

    def _classify(self, request: pb.ClassifyRequest) -> pb.ClassifyResponse:
        if (vector := embed(decoding.decode_image(request.image, field="image", limits=LIMITS))) is None:
            return pb.ClassifyResponse(face_found=False)  # an outcome, not an error
        scores = self.matcher.templates @ vector  # the larger, the nearer; in place of these, minus a distance
        ranked = np.argsort(-scores, kind="stable")[: request.k]  # ties by class index
        best = [pb.Candidate(identity=self.identities[i]) for i in ranked]  # without their scores
        answer = pb.Classification(target_model=MODEL, candidates=best)
        answer.reached.add(threshold="given", candidates=int((scores[ranked] >= self.threshold).sum()))
        return pb.ClassifyResponse(face_found=True, classifications=[answer])

    async def ListTargetModels(self, request: object, context: object) -> pb.ListTargetModelsResponse:
        number, digest = len(self.identities), sha256("\n".join(self.identities).encode()).hexdigest()
        model = pb.TargetModel(name=MODEL, identities=number, label_set_sha256=digest, max_candidates=number)
        model.kind, model.gallery_sha256 = pb.MODEL_KIND_MATCHER, self.matcher.sha256
        model.matching = "the mean of an identity's photos; cosine similarity of 24 x 24 grey levels"
        model.regions.append(pb.REGION_DETECTED)
        model.thresholds.add(name="given")
        # `enrols` stays false: the people of the folder are enrolled, and nothing from clients. There is no GalleryService.
        return pb.ListTargetModelsResponse(target_models=[model], disclosure=pb.DISCLOSURE_RANKED)

    async def ListIdentities(self, request: pb.ListIdentitiesRequest, context: object) -> pb.ListIdentitiesResponse:
        if request.target_model != MODEL:
            raise not_found("target_model", request.target_model, known=[MODEL])
        page = page_of(self.identities, page_size=request.page_size, page_token=request.page_token)
        return pb.ListIdentitiesResponse(identities=page.identities, next_page_token=page.next_page_token)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Serves on this machine, and prints where once it listens.")
    parser.add_argument("--gallery", type=Path, required=True, help="a folder with a folder of photos for each identity")
    parser.add_argument("--threshold", type=float, default=0.8, help="score from which on two faces count as one person's")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    server = Server(address=f"127.0.0.1:{options.port}", limits=LIMITS)
    invader = Invader(Matcher(options.gallery), options.threshold)
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(invader, server.grpc)
    await server.serve(["deid.invader.v1.InvaderService"], drain_seconds=2, stop_with_stdin=False)


if __name__ == "__main__":
    asyncio.run(main())
