"""The store of clients' galleries: whose they are, what is in them, how much, and for how long."""

import tracemalloc
from collections.abc import Callable

import pytest

from gallery_service.errors import ClientGalleryError, Reason
from gallery_service.layers import all_faces
from gallery_service.sealed import SealedGallery
from gallery_service.store import DEFAULT, GalleryLimits, GalleryStore
from recognizers.networks.gallery import Templates
from recognizers.networks.network import Distance
from tests.support.client_galleries import MATCHER, Clock, digest, held, own_layer

ADA, BOB = "ada", "bob"
OWN = {"a": ["a0", "a1"], "b": ["b0"]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def store_of(clock: Clock, **limits: int) -> GalleryStore:
    return GalleryStore(own_layer(OWN), limits=GalleryLimits(**limits), clock=clock)


def enrol(store: GalleryStore, gallery: str, identity: str, *photos: str, client: str = ADA) -> None:
    store.enrol(client, gallery, identity, [held(photo) for photo in photos])


def content(sealed: SealedGallery) -> set[tuple[str, str]]:
    return {(identity, photo.sha256) for identity, photo in all_faces(sealed.layers)}


def placed(**people: list[str]) -> set[tuple[str, str]]:
    return {(identity, digest(photo)) for identity, photos in people.items() for photo in photos}


def refused(reason: Reason, do: Callable[[], object]) -> str:
    with pytest.raises(ClientGalleryError) as refusal:
        do()
    assert refusal.value.reason is reason
    return str(refusal.value)


def test_an_empty_gallery_holds_whom_its_client_enrols(clock: Clock) -> None:
    store = store_of(clock)
    gallery, seconds = store.create(ADA)
    enrol(store, gallery, "x", "x0", "x1")
    enrol(store, gallery, "y", "y0")
    sealed = store.seal(ADA, gallery)
    assert (content(sealed), sealed.identities, seconds) == (placed(x=["x0", "x1"], y=["y0"]), 2, 3600)
    assert "x" in sealed
    assert "a" not in sealed
    assert store.search(ADA, gallery) is sealed
    assert store.seal(ADA, gallery) is sealed


def test_a_gallery_from_the_default_has_the_service_s_people_and_its_own_in_their_place(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA, base=DEFAULT)
    enrol(store, gallery, "a", "cloak")
    sealed = store.seal(ADA, gallery)
    assert content(sealed) == placed(a=["cloak"], b=["b0"])
    assert sealed.identities == 2
    assert store.pictures(ADA) == 1, "those of the service count for nobody"


def test_a_derived_gallery_outlives_its_base(clock: Clock) -> None:
    store = store_of(clock)
    base, _ = store.create(ADA)
    enrol(store, base, "x", "x0")
    enrol(store, base, "y", "y0")
    store.seal(ADA, base)
    derived, _ = store.create(ADA, base=base)
    store.delete(ADA, base)
    enrol(store, derived, "x", "x1")
    assert content(store.seal(ADA, derived)) == placed(x=["x1"], y=["y0"])
    refused(Reason.NOT_FOUND, lambda: store.search(ADA, base))


def test_an_identity_without_a_face_is_not_in_the_gallery_nor_with_the_photos_of_the_base(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA, base=DEFAULT)
    enrol(store, gallery, "a", "blank0", "blank1")
    sealed = store.seal(ADA, gallery)
    assert (content(sealed), sealed.identities) == (placed(b=["b0"]), 1)
    derived, _ = store.create(ADA, base=gallery)
    enrol(store, derived, "c", "c0")
    enrol(store, derived, "d", "d0")
    assert content(store.seal(ADA, derived)) == placed(b=["b0"], c=["c0"], d=["d0"])


def test_a_gallery_that_holds_nobody_is_not_sealed(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA)
    refused(Reason.EMPTY, lambda: store.seal(ADA, gallery))
    enrol(store, gallery, "x", "blank")
    refused(Reason.EMPTY, lambda: store.seal(ADA, gallery))
    enrol(store, gallery, "y", "y0")
    assert store.seal(ADA, gallery).identities == 1


def test_enrolling_again_takes_the_same_photos_only_whatever_their_order(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA)
    enrol(store, gallery, "x", "x0", "blank")
    enrol(store, gallery, "x", "blank", "x0")
    message = refused(Reason.ALREADY_ENROLLED, lambda: enrol(store, gallery, "x", "x0"))
    assert "'x'" in message
    refused(Reason.ALREADY_ENROLLED, lambda: store.held(ADA, gallery, "x", [digest("x1")]))
    assert content(store.seal(ADA, gallery)) == placed(x=["x0"])


def test_a_sealed_gallery_takes_nobody_and_an_unsealed_one_is_neither_searched_nor_a_base(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA, base=DEFAULT)
    refused(Reason.NOT_SEALED, lambda: store.search(ADA, gallery))
    refused(Reason.NOT_SEALED, lambda: store.create(ADA, base=gallery))
    store.seal(ADA, gallery)
    refused(Reason.SEALED, lambda: enrol(store, gallery, "x", "x0"))
    refused(Reason.SEALED, lambda: store.held(ADA, gallery, "x", [digest("x0")]))


def test_unknown_expired_deleted_and_foreign_galleries_are_refused_in_the_same_words(clock: Clock) -> None:
    store = store_of(clock)
    expired, _ = store.create(ADA, base=DEFAULT, seconds=10)
    clock.now = 11
    deleted, _ = store.create(ADA, base=DEFAULT)
    store.delete(ADA, deleted)
    foreign, _ = store.create(BOB, base=DEFAULT)
    store.seal(BOB, foreign)
    messages = set()
    for name in (expired, deleted, foreign, DEFAULT, "no such name", ""):
        uses: list[Callable[[], object]] = [
            lambda name=name: store.search(ADA, name),  # type: ignore[misc]
            lambda name=name: store.seal(ADA, name),  # type: ignore[misc]
            lambda name=name: store.held(ADA, name, "x", [digest("x0")]),  # type: ignore[misc]
            lambda name=name: enrol(store, name, "x", "x0"),  # type: ignore[misc]
        ]
        messages |= {refused(Reason.NOT_FOUND, use) for use in uses}
    messages |= {refused(Reason.NOT_FOUND, lambda: store.create(ADA, base=foreign))}
    assert len(messages) == 1
    store.delete(ADA, foreign)
    assert store.search(BOB, foreign).identities == 2, "nobody deletes another's"


def test_every_use_keeps_a_gallery_for_as_long_again(clock: Clock) -> None:
    store = store_of(clock)
    gallery, seconds = store.create(ADA, base=DEFAULT, seconds=10)
    assert seconds == 10
    uses: list[Callable[[], object]] = [
        lambda: store.held(ADA, gallery, "x", [digest("x0")]),
        lambda: enrol(store, gallery, "x", "x0"),
        lambda: store.seal(ADA, gallery),
        lambda: store.search(ADA, gallery),
        lambda: store.create(ADA, base=gallery, seconds=1),
    ]
    for use in uses:
        clock.now += 9
        use()
    clock.now += 9
    assert store.search(ADA, gallery)
    clock.now += 10
    refused(Reason.NOT_FOUND, lambda: store.search(ADA, gallery))


def test_what_expires_is_forgotten_without_being_asked_for(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA)
    enrol(store, gallery, "x", "x0")
    clock.now = 3600
    assert store.pictures(ADA) == 1
    store.forget_expired()
    assert (store.galleries, store.pictures(ADA)) == (0, 0)


@pytest.mark.parametrize(("asked", "kept"), [(0, 60), (1, 1), (60, 60), (61, 60)])
def test_a_gallery_is_kept_for_no_longer_than_the_service_allows(clock: Clock, asked: int, kept: int) -> None:
    assert store_of(clock, seconds=60).create(ADA, seconds=asked)[1] == kept


def test_names_cannot_be_guessed(clock: Clock) -> None:
    store = store_of(clock)
    names = {store.create(ADA)[0] for _ in range(100)}
    assert len(names) == 100
    assert min(map(len, names)) >= 43


def test_a_client_has_so_many_galleries_at_a_time_and_another_has_its_own(clock: Clock) -> None:
    store = store_of(clock, galleries=2)
    first, _ = store.create(ADA)
    store.create(ADA)
    assert "2 galleries" in refused(Reason.LIMIT, lambda: store.create(ADA))
    store.create(BOB)
    store.delete(ADA, first)
    store.create(ADA)


def test_a_gallery_has_so_many_identities_those_of_the_base_among_them(clock: Clock) -> None:
    store = store_of(clock, identities=3)
    gallery, _ = store.create(ADA, base=DEFAULT)
    enrol(store, gallery, "x", "x0")
    assert "3 identities" in refused(Reason.LIMIT, lambda: enrol(store, gallery, "y", "y0"))
    enrol(store, gallery, "a", "cloak")
    refused(Reason.LIMIT, lambda: store_of(clock, identities=1).create(ADA, base=DEFAULT))


def test_a_client_has_so_many_different_pictures_and_those_that_are_deleted_make_room(clock: Clock) -> None:
    store = store_of(clock, pictures=3)
    first, _ = store.create(ADA)
    enrol(store, first, "x", "x0", "x1")
    store.seal(ADA, first)
    second, _ = store.create(ADA, base=first)
    enrol(store, second, "y", "x1", "y0")
    assert "3 pictures" in refused(Reason.LIMIT, lambda: store.held(ADA, second, "z", [digest("z0")]))
    refused(Reason.LIMIT, lambda: enrol(store, second, "z", "z0"))
    store.delete(ADA, first)
    assert store.pictures(ADA) == 3, "the other stands on it"
    store.delete(ADA, second)
    assert store.pictures(ADA) == 0
    third, _ = store.create(ADA)
    enrol(store, third, "z", "z0", "z1", "z2")


def test_a_photo_is_held_once_for_each_client(clock: Clock) -> None:
    store = store_of(clock)
    first, _ = store.create(ADA)
    enrol(store, first, "x", "x0")
    second, _ = store.create(ADA)
    known = store.held(ADA, second, "y", [digest("x0"), digest("y0")])
    assert list(known) == [digest("x0")]
    enrol(store, second, "y", "x0")
    assert list(store.held(ADA, first, "x", [digest("x0")]).values()) == list(known.values())
    others, _ = store.create(BOB)
    assert store.held(BOB, others, "x", [digest("x0")]) == {}


def test_a_chain_of_derived_galleries_does_not_grow_without_bound(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA, base=DEFAULT)
    for turn in range(200):
        enrol(store, gallery, f"x{turn % 7}", f"photo{turn}")
        sealed = store.seal(ADA, gallery)
        derived, _ = store.create(ADA, base=gallery)
        store.delete(ADA, gallery)
        gallery = derived
    assert len(sealed.layers) <= 5
    assert store.pictures(ADA) <= 21, "of 200, those that nobody has any more are not held"
    assert content(sealed) == placed(**OWN, **{f"x{turn % 7}": [f"photo{turn}"] for turn in range(193, 200)})


def test_whoever_keeps_heads_is_told_what_is_forgotten(clock: Clock) -> None:
    forgotten: list[SealedGallery] = []
    store = GalleryStore(own_layer(OWN), limits=GalleryLimits(), clock=clock, on_forgotten=forgotten.append)
    first, _ = store.create(ADA, base=DEFAULT)
    second, _ = store.create(ADA, base=DEFAULT)
    sealed = [store.seal(ADA, name) for name in (first, second)]
    store.delete(ADA, first)
    clock.now = 3600
    store.create(BOB)
    assert forgotten == sealed


def test_a_search_under_way_ends_well_although_its_gallery_is_deleted(clock: Clock) -> None:
    store = store_of(clock)
    gallery, _ = store.create(ADA)
    enrol(store, gallery, "x", "x0", "x1")
    store.seal(ADA, gallery)
    sealed = store.search(ADA, gallery)
    store.delete(ADA, gallery)
    embedded = sealed.embedded(MATCHER, distance=Distance.COSINE, templates=Templates.MEAN)
    assert [photo.identity for photo in embedded.gallery.photos] == ["x", "x"]
    assert embedded.embeddings.shape == (2, 6)


def test_a_hundred_galleries_that_are_derived_from_one_of_a_thousand_take_little_memory(clock: Clock) -> None:
    """Copies of the mapping alone would take 100 times a thousand references, 9 MB; of the embeddings 200 MB."""
    store = GalleryStore(own_layer({}), limits=GalleryLimits(), clock=clock)
    base, _ = store.create(ADA)
    for person in range(1000):
        store.enrol(ADA, base, f"person {person:04}", [held(f"{person}", features=512)])
    store.seal(ADA, base)
    cloaks = [held(f"cloak {number}", features=512) for number in range(100)]
    tracemalloc.start()
    for number, cloak in enumerate(cloaks):
        derived, _ = store.create(ADA, base=base)
        store.enrol(ADA, derived, f"person {number:04}", [cloak])
        assert store.seal(ADA, derived).identities == 1000
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 500_000
    assert store.pictures(ADA) == 1100
