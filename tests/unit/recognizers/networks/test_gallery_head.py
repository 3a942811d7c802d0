"""The head of a matcher against plain NumPy, and its gradients against finite differences."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.autograd import gradcheck

from recognizers.networks.gallery import EmbeddedGallery, EnrolledPhoto, Gallery, Templates
from recognizers.networks.gallery_head import COSINE_SCALE, EUCLIDEAN_SCALE, GalleryHead
from recognizers.networks.network import Distance
from tests.support.galleries import FEATURES, embedded_gallery

ALL = [(distance, templates) for distance in Distance for templates in Templates]
COUNTS = (1, 3, 2, 1)

Reals = NDArray[np.float64]


def unit(vector: Reals) -> Reals:
    return np.asarray(vector / np.sqrt((vector**2).sum()))


def score(face: Reals, enrolled: list[Reals], distance: Distance, templates: Templates) -> float:
    """Of one face and one identity, as the protocol words it."""
    if templates is Templates.MEAN:
        if distance is Distance.COSINE:
            enrolled = [unit(np.mean([unit(each) for each in enrolled], axis=0))]
        else:
            enrolled = [np.mean(enrolled, axis=0)]
    if distance is Distance.COSINE:
        return max(float(unit(face) @ unit(each)) for each in enrolled)
    return max(-float(np.sqrt(((face - each) ** 2).sum())) for each in enrolled)


def expected_logits(face: Reals, embedded: EmbeddedGallery) -> list[float]:
    logits = []
    for identity in embedded.gallery.label_set.identities:
        rows = [row for row, photo in enumerate(embedded.gallery.photos) if photo.identity == identity]
        best = score(face, [embedded.embeddings[row].numpy() for row in rows], embedded.distance, embedded.templates)
        logits.append(COSINE_SCALE * best if embedded.distance is Distance.COSINE else -EUCLIDEAN_SCALE * best**2)
    return logits


@pytest.mark.parametrize(("distance", "templates"), ALL)
@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_logits_are_scaled_scores(distance: Distance, templates: Templates, counts: list[int], seed: int) -> None:
    embedded = embedded_gallery(counts, distance=distance, templates=templates, seed=seed)
    faces = torch.randn(3, FEATURES, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    logits = GalleryHead(embedded)(faces)
    expected = [expected_logits(face.numpy(), embedded) for face in faces]
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(("distance", "templates"), ALL)
def test_a_centroid_has_the_direction_of_the_mean_template(distance: Distance, templates: Templates) -> None:
    embedded = embedded_gallery(COUNTS, distance=distance, templates=templates)
    head = GalleryHead(embedded)
    for place, identity in enumerate(embedded.gallery.label_set.identities):
        rows = [row for row, photo in enumerate(embedded.gallery.photos) if photo.identity == identity]
        enrolled = [embedded.embeddings[row].numpy() for row in rows]
        expected = unit(np.mean([unit(each) for each in enrolled] if distance is Distance.COSINE else enrolled, axis=0))
        np.testing.assert_allclose(head.centroid(place).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(("distance", "templates"), ALL)
def test_gradients_are_those_of_finite_differences(distance: Distance, templates: Templates) -> None:
    head = GalleryHead(embedded_gallery(COUNTS, distance=distance, templates=templates))
    faces = torch.randn(2, FEATURES, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    assert gradcheck(head, faces)


@pytest.mark.parametrize(("distance", "templates"), ALL)
def test_a_photo_left_out_gives_the_head_of_the_gallery_without_it(distance: Distance, templates: Templates) -> None:
    embedded = embedded_gallery(COUNTS, distance=distance, templates=templates)
    left_out = embedded.gallery.photos[2]
    head = GalleryHead(embedded.without(left_out.identity, left_out.sha256))
    kept = [row for row, photo in enumerate(embedded.gallery.photos) if photo != left_out]
    face = embedded.embeddings[2:3]  # which no photo is as near as itself
    rest = EmbeddedGallery(
        Gallery(tuple(embedded.gallery.photos[row] for row in kept)), embedded.embeddings[kept], distance, templates
    )
    assert head.label_set == embedded.gallery.label_set
    np.testing.assert_allclose(head(face)[0].numpy(), expected_logits(face[0].numpy(), rest), atol=1e-9)
    assert not torch.allclose(head(face), GalleryHead(embedded)(face))


def test_the_only_photo_of_somebody_stays_and_so_does_one_of_somebody_else() -> None:
    embedded = embedded_gallery(COUNTS, distance=Distance.COSINE, templates=Templates.MEAN)
    only, other = embedded.gallery.photos[:2]
    assert embedded.without(only.identity, only.sha256) is embedded
    assert embedded.without(only.identity, other.sha256) is embedded


def test_scores_of_thresholds_become_logits() -> None:
    cosine, euclidean = (
        GalleryHead(embedded_gallery((1,), distance=distance, templates=Templates.NEAREST)) for distance in Distance
    )
    assert cosine.logit_of(0.5) == 8
    assert euclidean.logit_of(0.6) == pytest.approx(-3.6)


def test_a_gallery_is_its_identities_bytewise_and_its_digest_their_photos() -> None:
    photos = [EnrolledPhoto(identity, sha256 * 64) for identity, sha256 in (("é", "a"), ("z", "c"), ("z", "b"), ("Z", "d"))]
    gallery = Gallery(tuple(sorted(photos)))
    assert gallery.label_set.identities == ("Z", "z", "é")
    lines = f"Z\t{'d' * 64}\nz\t{'b' * 64}\nz\t{'c' * 64}\né\t{'a' * 64}"
    assert gallery.sha256 == hashlib.sha256(lines.encode()).hexdigest()
