"""A matcher as a service of tests has it: its gallery and its impostors were enrolled as the services enrol them."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from recognizers.extraction import extract_face
from recognizers.galleries.matchers import Calibration, Matcher, make_matchers
from recognizers.galleries.thresholds import Target
from tests.support.conforming import IDENTITIES
from tests.support.drawn_faces import draw_face, jpeg
from tests.support.galleries import enroller_of
from tests.support.services import CentreDetector

TARGETS = ("fmr:0.1", "fpir:0.1", "fpir:0.3")


def tiny_matchers(root: Path) -> dict[str, Matcher]:
    """A matcher that knows five people, each by the photo that `write_faces` draws of them and another."""
    _write(root / "gallery", ((identity, number) for number, identity in enumerate(IDENTITIES[:5])))
    _write(root / "impostors", ((f"stranger_{number}", number) for number in range(5, 25)))
    enroller = replace(enroller_of(), find_face=partial(extract_face, detector=CentreDetector()))
    calibration = Calibration(root / "impostors", tuple(map(Target.parse, TARGETS)), {"tiny": {"given": 0.9}})
    return make_matchers(root / "gallery", enroller, calibration=calibration)


def _write(folder: Path, people: Iterable[tuple[str, int]]) -> None:
    for identity, number in people:
        (folder / identity).mkdir(parents=True)
        for photo in range(2):
            (folder / identity / f"{photo}.jpg").write_bytes(jpeg(draw_face(number, photo, side=64)))
