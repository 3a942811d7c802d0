"""The store, operation by operation, beside a plain model of it that copies everything."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gallery_service.errors import ClientGalleryError, Reason
from gallery_service.layers import all_faces
from gallery_service.store import DEFAULT, NONE, GalleryLimits, GalleryStore
from tests.support.client_galleries import Clock, PlainGallery, digest, held, own_layer

CLIENTS = st.sampled_from(["ada", "bob"])
IDENTITIES = st.sampled_from(["a", "b", "x", "y"])
PHOTOS = st.frozensets(st.sampled_from(["p0", "p1", "p2", "p3", "blank0", "blank1"]), min_size=1, max_size=3)
OWN = {"a": ["own0", "own1"], "b": ["own2"]}
LIMITS = GalleryLimits(galleries=4, identities=3, seconds=30)


class StoreBesideAPlainModel(RuleBasedStateMachine):
    """Two clients at one store. Whatever the model refuses, the store refuses, for the same reason."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = GalleryStore(own_layer(OWN), limits=LIMITS, clock=self.clock)
        self.model: dict[str, PlainGallery] = {}

    @rule(target=names, client=CLIENTS, base=st.sampled_from([NONE, DEFAULT]), seconds=st.integers(0, 40))
    def create(self, client: str, base: str, seconds: int) -> Any:
        people = {identity: frozenset(photos) for identity, photos in OWN.items()} if base else {}
        return self._created(client, base, people, seconds)

    @rule(target=names, client=CLIENTS, base=names)
    def derive(self, client: str, base: str) -> Any:
        if (reason := self._unsearchable(client, base)) is not None:
            self._refused(reason, lambda: self.store.create(client, base=base))
            return "none"
        return self._created(client, base, self.model[base].faces, 0)

    @rule(client=CLIENTS, gallery=names, identity=IDENTITIES, photos=PHOTOS)
    def enrol(self, client: str, gallery: str, identity: str, photos: frozenset[str]) -> None:
        self._expire()
        found, reason = self._found(client, gallery), None
        if found is None:
            reason = Reason.NOT_FOUND
        else:
            found.used = self.clock.now
            if found.sealed:
                reason = Reason.SEALED
            elif found.enrolled.get(identity, photos) != photos:
                reason = Reason.ALREADY_ENROLLED
            elif len(found.faces) == LIMITS.identities and identity not in found.faces | found.enrolled:
                reason = Reason.LIMIT
        each = [held(photo) for photo in sorted(photos)]
        if reason is not None or found is None:
            assert reason is not None
            self._refused(reason, lambda: self.store.held(client, gallery, identity, [photo.sha256 for photo in each]))
            self._refused(reason, lambda: self.store.enrol(client, gallery, identity, each))
            return
        known = self.store.held(client, gallery, identity, [photo.sha256 for photo in each])
        certainly = {digest(photo) for photo in self._pictures(client) & photos}
        assert certainly <= known.keys(), "a picture that the client has in a gallery is not embedded again"
        self.store.enrol(client, gallery, identity, each)
        found.enrolled[identity] = photos

    @rule(client=CLIENTS, gallery=names)
    def seal(self, client: str, gallery: str) -> None:
        self._expire()
        found = self._found(client, gallery)
        if found is None:
            self._refused(Reason.NOT_FOUND, lambda: self.store.seal(client, gallery))
            return
        found.used = self.clock.now
        if not found.faces:
            self._refused(Reason.EMPTY, lambda: self.store.seal(client, gallery))
            return
        self.store.seal(client, gallery)
        found.sealed = True
        self._is_as_in_the_model(client, gallery)

    @rule(client=CLIENTS, gallery=names)
    def search(self, client: str, gallery: str) -> None:
        if (reason := self._unsearchable(client, gallery)) is not None:
            self._refused(reason, lambda: self.store.search(client, gallery))
        else:
            self._is_as_in_the_model(client, gallery)

    @rule(client=CLIENTS, gallery=consumes(names))
    def delete(self, client: str, gallery: str) -> None:
        self._expire()
        self.store.delete(client, gallery)
        if self._found(client, gallery) is not None:
            del self.model[gallery]

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def holds_what_is_in_the_galleries_and_nothing_of_a_client_who_has_none(self) -> None:
        self._expire()
        self.store.forget_expired()
        assert self.store.galleries == len(self.model)
        for client in ("ada", "bob"):
            has_any = any(each.client == client for each in self.model.values())
            assert len(self._pictures(client)) <= self.store.pictures(client) <= 6 * has_any

    def _created(self, client: str, base: str, people: dict[str, frozenset[str]], seconds: int) -> str:
        self._expire()
        if sum(each.client == client for each in self.model.values()) == LIMITS.galleries:
            self._refused(Reason.LIMIT, lambda: self.store.create(client, base=base, seconds=seconds))
            return "none"
        name, kept = self.store.create(client, base=base, seconds=seconds)
        assert kept == min(seconds or LIMITS.seconds, LIMITS.seconds)
        assert name not in self.model
        self.model[name] = PlainGallery(client, dict(people), kept, self.clock.now)
        return name

    def _unsearchable(self, client: str, gallery: str) -> Reason | None:
        self._expire()
        found = self._found(client, gallery)
        if found is None:
            return Reason.NOT_FOUND
        found.used = self.clock.now
        return None if found.sealed else Reason.NOT_SEALED

    def _found(self, client: str, gallery: str) -> PlainGallery | None:
        found = self.model.get(gallery)
        return found if found is not None and found.client == client else None

    def _expire(self) -> None:
        self.model = {name: each for name, each in self.model.items() if self.clock.now - each.used < each.seconds}

    def _pictures(self, client: str) -> set[str]:
        own = {photo for photos in OWN.values() for photo in photos}
        galleries = [each for each in self.model.values() if each.client == client]
        faces = {photo for each in galleries for photos in each.faces.values() for photo in photos}
        return faces - own

    def _is_as_in_the_model(self, client: str, gallery: str) -> None:
        sealed, faces = self.store.search(client, gallery), self.model[gallery].faces
        expected = {(identity, digest(photo)) for identity, photos in faces.items() for photo in photos}
        assert {(identity, photo.sha256) for identity, photo in all_faces(sealed.layers)} == expected
        assert sealed.identities == len(faces)
        assert all((identity in sealed) == (identity in faces) for identity in ("a", "b", "x", "y"))

    def _refused(self, reason: Reason, do: Any) -> None:
        try:
            do()
        except ClientGalleryError as error:
            assert error.reason is reason  # noqa: PT017 - hypothesis shrinks better without pytest's context
        else:
            raise AssertionError(f"expected a refusal: {reason}")


TestStoreBesideAPlainModel = StoreBesideAPlainModel.TestCase
TestStoreBesideAPlainModel.settings = settings(max_examples=25, stateful_step_count=40, deadline=None, derandomize=True)
