"""The store, operation by operation, beside a plain model of it that copies everything."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gallery_service.errors import ClientGalleryError, Reason
from gallery_service.layers import all_faces
from gallery_service.store import DEFAULT, NONE, GalleryLimits, GalleryStore
from tests.support.client_galleries import Clock, PlainGallery, digest, held, own_layer

CLIENTS = ("ada", "bob")
IDENTITIES = ("a", "b", "x", "y")
PHOTOS = ("p0", "p1", "p2", "p3", "p4", "p5", "blank0", "blank1")
OWN = {"a": ["own0", "own1"], "b": ["own2"]}
LIMITS = GalleryLimits(galleries=6, identities=3, seconds=40)

RARELY = st.integers(0, 7).map(lambda number: number == 0)
SOME_PHOTOS = st.frozensets(st.sampled_from(PHOTOS), min_size=1, max_size=2)


class StoreBesideAPlainModel(RuleBasedStateMachine):
    """Two clients at one store. Whatever the model refuses, the store refuses, for the same reason."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = GalleryStore(own_layer(OWN), limits=LIMITS, clock=self.clock)
        self.model: dict[str, PlainGallery] = {}
        self.owners: dict[str, str] = {}  # of all that ever were

    @rule(target=names, client=st.sampled_from(CLIENTS), base=st.sampled_from([NONE, DEFAULT]), seconds=st.integers(0, 50))
    def create(self, client: str, base: str, seconds: int) -> Any:
        people = {identity: frozenset(photos) for identity, photos in OWN.items()} if base else {}
        return self._created(client, base, PlainGallery(client, people), seconds)

    @rule(target=names, base=names, stranger=RARELY)
    def derive(self, base: str, stranger: bool) -> Any:
        client = self._client(base, stranger)
        if (reason := self._unsearchable(client, base)) is not None:
            refused(reason, lambda: self.store.create(client, base=base))
            return base
        found = self.model[base]
        return self._created(client, base, PlainGallery(client, found.faces, pictures=set(found.pictures)), 0)

    @rule(target=names, base=names, identity=st.sampled_from(IDENTITIES), photos=SOME_PHOTOS)
    def exchange(self, base: str, identity: str, photos: frozenset[str]) -> Any:
        """What a client mostly does: another gallery like one that it has, with other photos of somebody."""
        self.seal(base, False)
        name = self.derive(base, False)
        self.enrol(name, identity, photos, False)
        self.seal(name, False)
        return name

    @rule(gallery=names, identity=st.sampled_from(IDENTITIES), photos=SOME_PHOTOS, stranger=RARELY)
    def enrol(self, gallery: str, identity: str, photos: frozenset[str], stranger: bool) -> None:
        client = self._client(gallery, stranger)
        each = [held(photo) for photo in sorted(photos)]
        digests = [photo.sha256 for photo in each]
        found = self._used(client, gallery)
        reason = Reason.NOT_FOUND if found is None else self._unenrollable(found, identity, photos)
        if found is None or reason is not None:
            assert reason is not None
            refused(reason, lambda: self.store.held(client, gallery, identity, digests))
            refused(reason, lambda: self.store.enrol(client, gallery, identity, each))
            return
        known = self.store.held(client, gallery, identity, digests).keys()
        assert known >= {digest(photo) for photo in photos & self._in_galleries(client)}, "none of these is embedded again"
        assert known <= {digest(photo) for photo in photos & self._in_layers(client)}
        self.store.enrol(client, gallery, identity, each)
        found.enrolled[identity] = photos
        found.pictures |= photos

    @rule(gallery=names, stranger=RARELY)
    def seal(self, gallery: str, stranger: bool) -> None:
        client = self._client(gallery, stranger)
        found = self._used(client, gallery)
        if found is None or not found.faces:
            refused(Reason.NOT_FOUND if found is None else Reason.EMPTY, lambda: self.store.seal(client, gallery))
            return
        self.store.seal(client, gallery)
        found.sealed = True

    @rule(gallery=names, stranger=RARELY)
    def search(self, gallery: str, stranger: bool) -> None:
        client = self._client(gallery, stranger)
        if (reason := self._unsearchable(client, gallery)) is not None:
            refused(reason, lambda: self.store.search(client, gallery))

    @rule(gallery=consumes(names), stranger=RARELY)
    def delete(self, gallery: str, stranger: bool) -> None:
        client = self._client(gallery, stranger)
        self.store.delete(client, gallery)
        if gallery in self.model and self.model[gallery].client == client:
            del self.model[gallery]

    @rule(seconds=st.integers(1, 15))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds
        self._expire()
        self.store.forget_expired()

    @invariant()
    def holds_what_is_in_the_galleries(self) -> None:
        assert self.store.galleries == len(self.model)
        for client in CLIENTS:
            assert len(self._in_galleries(client)) <= self.store.pictures(client) <= len(self._in_layers(client))
        for name, each in self.model.items():
            if each.sealed:
                sealed = self.store.search(each.client, name)
                each.used = self.clock.now
                faces = {(identity, digest(photo)) for identity, photos in each.faces.items() for photo in photos}
                assert {(identity, photo.sha256) for identity, photo in all_faces(sealed.layers)} == faces
                assert sealed.identities == len(each.faces)
                assert all((identity in sealed) == (identity in each.faces) for identity in IDENTITIES)

    def _client(self, gallery: str, stranger: bool) -> str:
        owner = self.owners.get(gallery, CLIENTS[0])
        return CLIENTS[1 - CLIENTS.index(owner)] if stranger else owner

    def _created(self, client: str, base: str, gallery: PlainGallery, seconds: int) -> str:
        if sum(each.client == client for each in self.model.values()) == LIMITS.galleries:
            refused(Reason.LIMIT, lambda: self.store.create(client, base=base, seconds=seconds))
            return "none"
        name, gallery.seconds = self.store.create(client, base=base, seconds=seconds)
        assert gallery.seconds == min(seconds or LIMITS.seconds, LIMITS.seconds)
        assert name not in self.owners
        gallery.used = self.clock.now
        self.model[name], self.owners[name] = gallery, client
        return name

    def _used(self, client: str, gallery: str) -> PlainGallery | None:
        found = self.model.get(gallery)
        if found is None or found.client != client:
            return None
        found.used = self.clock.now
        return found

    def _unsearchable(self, client: str, gallery: str) -> Reason | None:
        found = self._used(client, gallery)
        if found is None:
            return Reason.NOT_FOUND
        return None if found.sealed else Reason.NOT_SEALED

    def _unenrollable(self, gallery: PlainGallery, identity: str, photos: frozenset[str]) -> Reason | None:
        if gallery.sealed:
            return Reason.SEALED
        if gallery.enrolled.get(identity, photos) != photos:
            return Reason.ALREADY_ENROLLED
        is_new = identity not in gallery.faces and identity not in gallery.enrolled
        return Reason.LIMIT if is_new and len(gallery.faces) == LIMITS.identities else None

    def _expire(self) -> None:
        self.model = {name: each for name, each in self.model.items() if self.clock.now - each.used < each.seconds}

    def _in_galleries(self, client: str) -> set[str]:
        """The pictures with a face that a client can search, but for the service's own."""
        own = {photo for photos in OWN.values() for photo in photos}
        faces = [each.faces.values() for each in self.model.values() if each.client == client]
        return {photo for people in faces for photos in people for photo in photos} - own

    def _in_layers(self, client: str) -> set[str]:
        """All pictures that a client enrolled in its galleries, and in what these were derived from."""
        return {photo for each in self.model.values() if each.client == client for photo in each.pictures}


def refused(reason: Reason, do: Callable[[], object]) -> None:
    with pytest.raises(ClientGalleryError) as refusal:
        do()
    assert refusal.value.reason is reason


TestStoreBesideAPlainModel = StoreBesideAPlainModel.TestCase
TestStoreBesideAPlainModel.settings = settings(max_examples=30, stateful_step_count=40, deadline=None, derandomize=True)
