"""The cloaks of a subject that are shown together: its probe's, and those of its enrolled photos of the same kind."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CloakKey
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos


@dataclass(frozen=True)
class CloakSet:
    """One kind of cloak of a subject."""

    probe: Cloak
    enrolled: tuple[Cloak, ...] = ()  # in the order of the photos; none where they are not enrolled

    @property
    def key(self) -> CloakKey:
        return self.probe.record.key


class CloakSets:
    """Collects cloaks as they come, photo by photo, until a set is whole."""

    def __init__(self, photos: SubjectPhotos, *, enrolling: Collection[CloakKey], show: Callable[[CloakSet], None]) -> None:
        """`enrolling` are the kinds that are enrolled; `show` takes each set as soon as it is whole."""
        self._photos = photos
        self._enrolling = enrolling
        self._show = show
        self._came: dict[CloakKey, dict[str, Cloak]] = {}

    def add(self, photo: EncodedPhoto, cloak: Cloak) -> None:
        """Takes a cloak of a photo of the subject."""
        key = cloak.record.key
        came = self._came.setdefault(key, {})
        came[photo.name] = cloak
        photos = [self._photos.probe, *(self._photos.cloaked if key in self._enrolling else ())]
        if all(each.name in came for each in photos):
            probe, *enrolled = (came[each.name] for each in photos)
            del self._came[key]
            self._show(CloakSet(probe, tuple(enrolled)))
