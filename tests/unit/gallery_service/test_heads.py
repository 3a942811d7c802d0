"""Heads of clients' galleries: made once, kept while there is room, and gone with their gallery."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from gallery_service.heads import HeadCache
from gallery_service.layers import Layer
from gallery_service.sealed import SealedGallery
from recognizers.galleries.matchers import Matcher
from recognizers.networks.gallery import EmbeddedGallery
from recognizers.networks.gallery_head import GalleryHead
from tests.support.client_galleries import MATCHER, held, matchers_of


def sealed(*people: str) -> SealedGallery:
    return SealedGallery((Layer({person: (held(f"{person}0"), held(f"{person}1")) for person in people}),), len(people))


@pytest.fixture
def matchers(tmp_path: Path) -> dict[str, Matcher]:
    return matchers_of(tmp_path)


def test_a_head_compares_with_the_gallery_s_templates_as_the_matcher_makes_them(matchers: dict[str, Matcher]) -> None:
    gallery = sealed("x", "y")
    head = HeadCache(matchers).head(gallery, MATCHER)
    own = matchers[MATCHER].head.embedded
    expected = GalleryHead(gallery.embedded(MATCHER, distance=own.distance, templates=own.templates))
    features = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    assert head.label_set.identities == ("x", "y")
    torch.testing.assert_close(head(features), expected(features))


def test_a_head_is_made_once_and_for_each_gallery(matchers: dict[str, Matcher]) -> None:
    heads = HeadCache(matchers)
    first, second = sealed("x"), sealed("x")
    assert heads.head(first, MATCHER) is heads.head(first, MATCHER)
    assert heads.head(first, MATCHER) is not heads.head(second, MATCHER)


def test_those_searched_longest_ago_make_room_and_are_made_again(matchers: dict[str, Matcher]) -> None:
    galleries = [sealed(*(f"{number} {each}" for each in range(20))) for number in range(3)]
    probing = HeadCache(matchers)
    probing.head(galleries[0], MATCHER)
    heads = HeadCache(matchers, max_bytes=2 * probing.bytes + 1)
    made = [heads.head(gallery, MATCHER) for gallery in galleries[:2]]
    assert heads.head(galleries[0], MATCHER) is made[0]
    heads.head(galleries[2], MATCHER)
    assert heads.bytes == 2 * probing.bytes
    assert heads.head(galleries[0], MATCHER) is made[0]
    assert heads.head(galleries[1], MATCHER) is not made[1]


def test_one_that_is_too_large_to_be_kept_answers_all_the_same(matchers: dict[str, Matcher]) -> None:
    heads = HeadCache(matchers, max_bytes=1)
    assert heads.head(sealed("x"), MATCHER).label_set.identities == ("x",)
    assert heads.bytes == 0


def test_nothing_is_kept_of_a_gallery_that_is_forgotten_even_while_its_head_is_made(matchers: dict[str, Matcher]) -> None:
    gallery = sealed("x")
    making, forgotten = threading.Event(), threading.Event()

    class Slow(Matcher):
        def head_of(self, embedded: EmbeddedGallery) -> GalleryHead:
            making.set()
            assert forgotten.wait(60)
            return super().head_of(embedded)

    own = matchers[MATCHER]
    heads = HeadCache({MATCHER: Slow(own.recognizer, own.head, own.checkpoint_sha256)})
    found: list[GalleryHead] = []
    threads = [threading.Thread(target=lambda: found.append(heads.head(gallery, MATCHER))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert making.wait(60)
    heads.forget(gallery)
    forgotten.set()
    for thread in threads:
        thread.join()
    assert {head.label_set.identities for head in found} == {("x",)}
    assert heads.bytes == 0


def test_what_cannot_be_made_is_told_and_made_the_next_time(matchers: dict[str, Matcher]) -> None:
    class Failing(Matcher):
        failures: Any = iter([MemoryError("no room")])

        def head_of(self, embedded: EmbeddedGallery) -> GalleryHead:
            for failure in self.failures:
                raise failure
            return super().head_of(embedded)

    own, gallery = matchers[MATCHER], sealed("x")
    heads = HeadCache({MATCHER: Failing(own.recognizer, own.head, own.checkpoint_sha256)})
    with pytest.raises(MemoryError, match="no room"):
        heads.head(gallery, MATCHER)
    assert heads.head(gallery, MATCHER).label_set.identities == ("x",)
