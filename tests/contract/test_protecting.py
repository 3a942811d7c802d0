"""`orchestrator protect` from its arguments to its files, with services that are running."""

import asyncio
import re
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.__main__ import main
from orchestrator.protect import cloaker
from orchestrator.services import connection
from orchestrator.services.invader import InvaderClient
from rpc.channel import open_channel
from rpc.images.decoding import decoded_image, encode_jpeg, encode_png
from rpc.images.limits import ImageLimits
from tests.support.asked_to_protect import (
    NAMES,
    SIDE,
    YOU,
    Asked,
    Services,
    TwoFacesDetector,
    lit_photo,
    running_services,
    write_photo,
    write_strangers,
)
from tests.support.galleries import photo_of
from tests.support.pages import by_id, parsed
from tests.support.programs import Answer, Program

CONDITIONS = ("--conditions", "jpeg:95,jpeg:95+resize:48+jpeg:80")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with running_services(tmp_path_factory.mktemp("services")) as running:
        yield running


class Person:
    """A person with a photo, other photos, and strangers."""

    def __init__(self, root: Path, services: Services, program: Program) -> None:
        self.root, self.services, self.program = root, services, program
        self.photo = write_photo(root / "photo.png", YOU, 0)
        self.me = root / "me"
        for number in range(1, 4):
            write_photo(self.me / f"{number}.png", YOU, number)
        self.strangers = write_strangers(root / "strangers")
        self.cloaked, self.page = root / "photo.cloaked.jpg", root / "photo.cloaked.html"

    def protect(self, *arguments: str | Path, photos: tuple[Path, ...] | None = None, me: bool = True) -> Answer:
        of_me = ("--me", self.me) if me else ()
        people = (*of_me, "--strangers", self.strangers)
        given = ("--method", "bim", *CONDITIONS, *self.services.arguments)
        return self.program("protect", *(photos or (self.photo,)), *people, *given, *arguments)

    def refused(self, *arguments: str | Path, photos: tuple[Path, ...] | None = None, me: bool = True) -> str:
        answer = self.protect(*arguments, photos=photos, me=me)
        assert answer.status == 2, answer
        assert not list(self.root.glob("*.cloaked.*"))
        *_, reason = answer.err.strip().splitlines()
        return reason


@pytest.fixture
def person(tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Person:
    return Person(tmp_path, services, Program(main, monkeypatch, capfd))


def test_a_cloak_is_found_written_and_shown(person: Person) -> None:
    original = person.photo.read_bytes()
    answer = person.protect("--recognizers", "one", "--max-epsilon", "128")
    assert answer.status == 0, answer
    assert person.photo.read_bytes() == original
    cloaked = decoded_image(person.cloaked.read_bytes(), limits=ImageLimits())
    assert cloaked.shape == (SIDE, SIDE, 3)
    with Image.open(person.cloaked) as file:
        assert (file.format, dict(file.getexif()), "icc_profile" in file.info) == ("JPEG", {}, False)
    page = parsed(person.page.read_text())
    headline, honest = (each.text for each in page.all("p") if each.attributes.get("class") == "headline")
    assert headline.startswith("With a cloak of at most ")
    assert honest == "No recognizer was held out: only one was asked. What others would say is not known."
    assert headline in answer.out
    assert honest in answer.out
    assert f"written: {person.cloaked}, without metadata and colour profile" in answer.out
    for path in (person.cloaked, person.page):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_smaller_budget_was_looked_at_and_named_the_person(person: Person) -> None:
    person.protect("--recognizers", "one,two", "--held-out", "none", "--max-epsilon", "128")
    rows = by_id(parsed(person.page.read_text()), "case1-answers").rows()
    budgets = [row[0] for row in rows]
    assert budgets[:2] == ["no cloak"] * 2
    found = budgets[-1]
    for budget in dict.fromkeys(budgets):
        named = ["you" in cell for row in rows if row[0] == budget for cell in row[2:]]
        assert any(named) == (budget != found), (budget, rows)
    ladder = ["no cloak", "1", "2", "3", "4", "6", "8", "12", "16", "24", "32", "48", "64", "96", "128"]
    assert list(dict.fromkeys(budgets)) == ladder[: ladder.index(found) + 1]


def test_the_file_that_is_written_is_always_asked_about(person: Person) -> None:
    given = person.services.arguments
    answer = person.program(
        *("protect", person.photo, "--me", person.me, "--strangers", person.strangers, "--recognizers", "one"),
        *("--method", "bim", "--max-epsilon", "1", "--conditions", "jpeg:90+resize:48+jpeg:80", *given),
    )
    assert answer.status in (0, 3), answer
    rows = by_id(parsed(person.page.read_text()), "case1-answers").rows()
    assert {row[1] for row in rows} == {"jpeg:90", "jpeg:90+resize:48+jpeg:80"}


def test_who_is_held_out_has_no_part_in_the_cloak_and_is_asked_last(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    with asked.recorded(monkeypatch):
        answer = person.protect("--max-epsilon", "128")
    page = parsed(person.page.read_text())
    facts = dict(zip((each.text for each in page.all("dt")), (each.text for each in page.all("dd")), strict=True))
    held_out = tuple(facts["Held out"].split(" and "))
    assert len(held_out) == len(NAMES) // 2
    others = tuple(name for name in NAMES if name not in held_out)
    assert answer.status == 0, answer
    assert facts["Asked"] == " and ".join(others)
    # Which of them can make cloaks in photos is found out beforehand, by looking for a face.
    first_held_out = asked.searched.index(held_out)
    assert set(asked.searched[first_held_out:]) == {held_out}
    assert len(asked.searched[first_held_out:]) == 2 * 2  # no cloak and the one that was found, under two conditions
    assert not any(set(held_out) & set(names) for names in asked.searched[:first_held_out])
    assert facts["Cloaks made with"].startswith(" and ".join(others) + ",")
    assert facts["Questions"].startswith(f"{len(asked.searched)} pictures were shown: ")


def test_cloaks_are_made_with_those_who_are_asked_alone(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    with asked.recorded(monkeypatch):
        person.protect("--recognizers", "one,two", "--held-out", "two", "--max-epsilon", "2")
    assert "two" not in {name for names in asked.searched for name in names}  # no cloak was found to ask about
    page = parsed(person.page.read_text())
    assert "two, held out of the search, was not asked" in page.text


def test_a_budget_that_hides_nobody_is_said_plainly_and_nothing_claims_otherwise(person: Person) -> None:
    answer = person.protect("--recognizers", "one", "--max-epsilon", "1")
    assert answer.status == 3, answer
    assert not person.cloaked.exists()
    text = parsed(person.page.read_text()).text
    assert "No cloak of up to 1 level was found that hides you from one" in text
    assert "With a cloak of at most" not in text
    assert "written:" not in answer.out


def test_without_other_photos_the_recognizers_know_the_person_by_the_photo_itself(person: Person) -> None:
    answer = person.protect("--recognizers", "one", "--max-epsilon", "128", me=False)
    assert answer.status in (0, 3), answer
    assert "The recognizers had no other photo of you than this very one" in parsed(person.page.read_text()).text


def test_of_several_photos_each_is_known_by_the_others_and_the_share_has_an_interval(person: Person) -> None:
    photos = tuple(write_photo(person.root / f"upload{number}.png", YOU, 4 + number) for number in range(3))
    answer = person.protect("--recognizers", "one,two", "--held-out", "two", "--max-epsilon", "128", me=False, photos=photos)
    assert answer.status == 0, answer
    assert sorted(path.name for path in person.root.glob("*.cloaked.*")) == [
        "photos.cloaked.html",
        *(f"upload{number}.cloaked.jpg" for number in range(3)),
    ]
    text = parsed((person.root / "photos.cloaked.html").read_text()).text
    assert "Of your 3 photos in which one names you, 3 (100 %, 95 % interval 44 to 100 %)" in text
    assert "2 other photos of you, among 6 people of --strangers" in text


def test_enrolled_cloaks_keep_a_clean_photo_from_finding_the_person(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tuple(write_photo(person.root / f"upload{number}.png", YOU, 4 + number) for number in range(2))
    asked = Asked()
    with asked.recorded(monkeypatch):
        answer = person.protect("--recognizers", "one", "--max-epsilon", "255", "--carrier", "gallery", photos=photos)
    assert answer.status == 0, answer
    text = parsed((person.root / "photos.cloaked.html").read_text()).text
    assert "If the 2 photos that you gave are put online with cloaks of at most" in text
    assert "by any of the 3 clean photos that were searched" in text
    assert "found by 3 of 3" in text  # without cloaks
    assert len(list(person.root.glob("upload*.cloaked.jpg"))) == 2
    assert (
        "--carrier gallery: expected --me DIR"
        in person.program(
            "protect", person.photo, "--carrier", "gallery", "--out", person.me, *person.services.arguments
        ).err
    )


def test_photos_go_to_the_named_services_alone(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = set()

    def recorded(address: str, **how: Any) -> Any:
        addresses.add(address)
        return open_channel(address, **how)

    monkeypatch.setattr(connection, "open_channel", recorded)
    person.protect("--recognizers", "one", "--max-epsilon", "2")
    assert addresses == {person.services.protector, person.services.invader}


def test_nothing_is_overwritten_unless_it_is_asked_for(person: Person) -> None:
    person.cloaked.write_bytes(b"mine")
    answer = person.protect("--recognizers", "one", "--max-epsilon", "128")
    assert (answer.status, person.cloaked.read_bytes(), person.page.exists()) == (2, b"mine", False)
    assert f"expected no file {person.cloaked}, got one" in answer.err
    assert person.protect("--recognizers", "one", "--max-epsilon", "128", "--overwrite").status == 0
    assert person.cloaked.read_bytes().startswith(b"\xff\xd8")


def test_files_go_where_out_says(person: Person) -> None:
    (person.root / "out").mkdir()
    assert person.protect("--recognizers", "one", "--max-epsilon", "128", "--out", person.root / "out").status == 0
    assert sorted(path.name for path in (person.root / "out").iterdir()) == ["photo.cloaked.html", "photo.cloaked.jpg"]
    assert not list(person.root.glob("*.cloaked.*"))


def test_a_photo_without_a_face_is_refused(person: Person) -> None:
    blank = person.root / "blank.png"
    blank.write_bytes(encode_png(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)))
    assert f"{blank}: photo: expected a face" in person.refused("--recognizers", "one", photos=(blank,))


def test_a_photo_that_the_protector_refuses_as_too_large_is_made_smaller_and_that_is_said(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloaker, "SMALLEST_SIDE", SIDE)
    large = np.repeat(np.repeat(lit_photo(YOU, 0), 8, axis=0), 8, axis=1)
    person.photo.write_bytes(encode_png(large))
    answer = person.protect("--recognizers", "one", "--max-epsilon", "2")
    assert answer.status in (0, 3), answer
    sides = [int(side) for side in re.findall(r"it was made smaller, to (\d+) pixels", answer.out)]
    assert sides == [358, *sides[1:]]
    assert sides == sorted(sides, reverse=True)
    assert f"{sides[-1]} x {sides[-1]} pixels" in person.page.read_text() or answer.status == 3
    monkeypatch.setattr(cloaker, "SMALLEST_SIDE", 512)
    for path in person.root.glob("*.cloaked.*"):
        path.unlink()
    assert "expected a face in a box of at most" in person.refused("--recognizers", "one")


def test_photos_of_two_people_are_refused_and_taken_only_if_it_is_insisted_on(person: Person) -> None:
    other = write_photo(person.me / "other.png", 40, 0)
    reason = person.refused("--recognizers", "one")
    assert f"got 1 that one takes for somebody else than the person in {person.photo}: {other}" in reason
    answer = person.protect("--recognizers", "one", "--max-epsilon", "128", "--same-person")
    assert f"one takes somebody else than the person in {person.photo} to be in {other}" in answer.out


def test_a_photo_of_me_without_a_face_is_left_out_and_named(person: Person) -> None:
    blank = person.me / "blank.png"
    blank.write_bytes(encode_png(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)))
    answer = person.protect("--recognizers", "one", "--max-epsilon", "2")
    assert f"{blank}: no face was found in it, so it was left out" in answer.out
    for path in person.me.glob("[0-9]*"):
        path.unlink()
    for path in person.root.glob("*.cloaked.*"):
        path.unlink()
    assert "--me: expected at least one photo with a face, got 1 without" in person.refused("--recognizers", "one")


def test_the_photo_itself_is_no_other_photo(person: Person) -> None:
    again = person.me / "again.jpg"
    again.write_bytes(encode_jpeg(photo_of(YOU, 0, side=SIDE), quality=98))
    answer = person.protect("--recognizers", "one", "--max-epsilon", "2")
    assert f"{again}: it is the photo photo.png that is to be cloaked" in answer.out
    assert "3 other photos of you" in parsed(person.page.read_text()).text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--recognizers", "nobody"), "--recognizers: expected matchers of the invader at .* got nobody"),
        (("--recognizers", "small"), "--recognizers: expected matchers of the invader at .* got small"),
        (("--recognizers", "one", "--held-out", "one"), "--held-out: expected at least one recognizer that is asked"),
        (("--method", "nothing"), "--method: expected a method with a budget in levels .* got nothing"),
        (("--method", "fawkes-low"), "--method: expected a method with a budget in levels .* got fawkes-low"),
        (("--method", "noise"), "got noise"),
        (("--k", "6"), "--k: expected fewer than the 6 people of --strangers"),
        (("--conditions", "png"), "--conditions: expected the same storage"),
        (("--checkpoints", "anywhere"), "--checkpoints: expected a service that is started"),
        (("--protector", "a:1,b:2"), "--protector: expected one address, host:port, got a:1,b:2"),
        (("--strangers", "synthetic:people=3"), "--strangers: synthetic:people=3: expected identities"),
        (("--out", "/nowhere"), "--out: /nowhere: expected a folder that files can be made in"),
    ],
)
def test_what_cannot_be_asked_is_refused(person: Person, arguments: tuple[str, ...], reason: str) -> None:

    assert re.search(reason, person.refused(*arguments)), reason


def test_ctrl_c_midway_writes_nothing_and_leaves_nothing_behind(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = person.root / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    classify, searches = InvaderClient.classify, []

    async def interrupted(client: InvaderClient, image: bytes, **asked: Any) -> Any:
        searches.append(image)
        if len(searches) == 8:  # while cloaks are asked about
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        return await classify(client, image, **asked)

    monkeypatch.setattr(InvaderClient, "classify", interrupted)
    answer = person.protect("--recognizers", "one", "--max-epsilon", "128")
    assert (answer.status, answer.err.strip()) == (130, "interrupted by SIGINT; nothing was written")
    assert len(searches) >= 8
    assert not list(person.root.glob("*.cloaked.*"))
    assert not list(temporary.iterdir())


def test_further_faces_are_named_and_shown_without_a_cloak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_services(tmp_path / "services", detector=TwoFacesDetector()) as services:
        person = Person(tmp_path / "person", services, Program(main, monkeypatch, capfd))
        both = np.concatenate([photo_of(YOU, 0, side=SIDE), photo_of(40, 0, side=SIDE)], axis=1)
        person.photo.write_bytes(encode_png(both))
        answer = person.protect("--recognizers", "one", "--max-epsilon", "128")
    assert answer.status == 0, answer
    assert f"{person.photo}: 1 other face in it gets no cloak" in answer.out
    page = parsed(person.page.read_text())
    assert "1 other face in the photo wears no cloak." in page.text
    assert [each.attributes["alt"] for each in page.all("img") if "without a cloak, at" in (each.attributes["alt"] or "")]
    cloaked = decoded_image(person.cloaked.read_bytes(), limits=ImageLimits())
    stored = decoded_image(encode_jpeg(both, quality=95), limits=ImageLimits())
    assert (cloaked[:, SIDE + 16 :] == stored[:, SIDE + 16 :]).all()  # but for blocks at its edge, as it was
    assert (cloaked[:, :SIDE] != stored[:, :SIDE]).any()
