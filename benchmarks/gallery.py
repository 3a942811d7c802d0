"""A search in a large gallery beside the network before it: what comparing with everybody costs."""

import hashlib
import time
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.results import report, spread
from invader_service.batching import BatchedLogits
from invader_service.classifier import Classifier
from recognizers.checkpoints.loading import head_to_device, to_device
from recognizers.device import prepare_device
from recognizers.extraction import CropBox
from recognizers.galleries.matchers import Matcher
from recognizers.galleries.thresholds import given
from recognizers.networks.dlib_resnet import DlibResNet
from recognizers.networks.gallery import EmbeddedGallery, EnrolledPhoto, Gallery, Templates
from recognizers.networks.gallery_head import GalleryHead
from recognizers.networks.network import Distance
from recognizers.networks.recognizer import Embedder, NeuralRecognizer

PHOTOS_EACH = 2
NAME = "dlib"
COLUMNS = ("identities", "templates", "a search, ms", "beyond one identity, ms")


def search(identities: int, templates: Templates, embedder: Embedder) -> Callable[[], object]:
    """A search, as the invader does it, of a gallery of random embeddings."""
    photos = [
        EnrolledPhoto(f"identity_{person:06}", hashlib.sha256(f"{person} {number}".encode()).hexdigest())
        for person in range(identities)
        for number in range(PHOTOS_EACH)
    ]
    embeddings = torch.randn(len(photos), DlibResNet.feature_size, generator=torch.Generator().manual_seed(0))
    embedded = EmbeddedGallery(Gallery(tuple(sorted(photos))), embeddings, Distance.EUCLIDEAN, templates)
    head = head_to_device(GalleryHead(embedded), torch.device("cpu"))
    recognizer = NeuralRecognizer(embedder.network, head, name=NAME)
    matcher = Matcher(recognizer, head, "0" * 64, (given(0.6, head),))
    side = DlibResNet.input_size
    photo = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)).numpy()
    logits = BatchedLogits({NAME: recognizer}, batch_rows=1)
    classifier = Classifier(logits, lambda _: CropBox(0, 0, side, side), {NAME: matcher})
    return lambda: classifier.classify(photo, target_models=[NAME], k=min(50, identities))


def run(*, identities: int, searches: int) -> None:
    """Searches of galleries of one and of many identities, in turn."""
    prepared = prepare_device("cpu", workers=0, threads=0)
    embedder = Embedder(DlibResNet())
    to_device(embedder, prepared.device)
    rows = []
    for templates in Templates:
        contenders = {count: search(count, templates, embedder) for count in (1, identities)}
        seconds: dict[int, list[float]] = {count: [] for count in contenders}
        for _ in range(searches):
            for count, contender in contenders.items():
                started = time.perf_counter()
                contender()
                seconds[count].append(time.perf_counter() - started)
        beyond = 1000 * (median(seconds[identities]) - median(seconds[1]))
        for count, each in seconds.items():
            milliseconds = [1000 * second for second in each]
            rows.append((f"{count:,}", templates.value, spread(milliseconds), "" if count == 1 else f"{beyond:.1f}"))
    report("gallery", f"dlib's network, {searches} searches of each", COLUMNS, rows, {})
