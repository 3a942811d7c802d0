"""Who is asked, where faces are, and whether the photos show one person: all that is settled before a cloak is made."""

from collections.abc import Sequence

from orchestrator.errors import InputError
from orchestrator.experiment.model import Model, ModelKind
from orchestrator.protect.cloaker import Located
from orchestrator.protect.oracle import GIVEN
from orchestrator.protect.photo_files import UserPhoto
from orchestrator.protect.plan import Recognizers, divide
from orchestrator.protect.session import Session
from orchestrator.services.galleries import NOBODY, LastingGallery

COMPARED = "fmr:"  # begins the name of a threshold that is calibrated for galleries of one person


async def locate(session: Session) -> tuple[list[Located], Recognizers]:
    """Where the faces are in each photo, and who is asked about them."""
    request, cloaker = session.request, session.cloaker
    matchers = {name for name, model in session.invader_models.items() if model.kind is ModelKind.MATCHER}
    names = matchers if request.recognizers is None else set(request.recognizers)
    if not names or not names <= matchers:
        known, missing = ", ".join(sorted(matchers)) or "none", ", ".join(sorted(names - matchers)) or "none"
        raise InputError(f"--recognizers: expected matchers of the {session.oracle.invader.name} ({known}), got {missing}")
    candidates = sorted(
        name
        for name in names
        if name in session.protector_models and session.protector_models[name].kind is ModelKind.MATCHER
    )
    session.said.status("looking for faces")
    can_craft = [name for name in candidates if await cloaker.can_craft(request.photos[0], name)]
    people = divide(names, can_craft=can_craft, held_out=request.held_out, seed=request.seed)
    located = [await cloaker.locate(photo, people.sources[0]) for photo in request.photos]
    for each in located:
        session.remarks.extend(f"{each.photo.path}: {note}" for note in each.photo.notes)
        number = len(each.others)
        if number:
            faces = "1 other face in it gets" if number == 1 else f"{number} other faces in it get"
            session.remarks.append(f"{each.photo.path}: {faces} no cloak")
    return located, people


async def checked_own(session: Session, located: Sequence[Located], people: Recognizers) -> tuple[UserPhoto, ...]:
    """The person's other photos in which a face is found, if all photos show one person.

    Raises:
        InputError: they do not, or show no face.
    """
    photos, own = [each.photo for each in located], session.request.own
    kept: list[UserPhoto] = []
    if own is not None:
        session.said.status(f"looking at {len(own.photos)} photos of --me")
        singly = {f"photo {number}": [photo.encoded] for number, photo in enumerate(own.photos)}
        async with session.known_to_invader(singly) as gallery:
            faceless = await session.oracle.without_face(gallery)
        for number, photo in enumerate(own.photos):
            if f"photo {number}" in faceless:
                session.remarks.append(f"{photo.path}: no face was found in it, so it was left out")
            else:
                kept.append(photo)
        if not kept:
            raise InputError(f"--me: expected at least one photo with a face, got {len(own.photos)} without")
    if len(photos) + len(kept) > 1:
        await _check_person(session, photos[0], [*photos[1:], *kept], people)
    return tuple(kept)


async def _check_person(session: Session, first: UserPhoto, others: Sequence[UserPhoto], people: Recognizers) -> None:
    """Compares photos with one of them, and with those that are near enough to it, by a threshold of one that is asked.

    Raises:
        InputError: some are near to none of these.
    """
    judge = next((name for name in people.asked if _threshold(session.invader_models[name]) is not None), None)
    if judge is None:
        session.remarks.append(
            "whether all photos show one person was not looked at: no recognizer that is asked has a threshold for it"
        )
        return
    threshold = _threshold(session.invader_models[judge])
    known, apart = [first], list(others)
    while apart:
        near = []
        async with LastingGallery(
            session.oracle.invader.galleries, {session.person: [photo.encoded for photo in known]}, beginning=NOBODY
        ) as gallery:
            for photo in apart:
                found = await session.oracle.search(photo.encoded, (judge,), gallery, k=1)
                if found is not None and threshold is not None and found[judge].reached.get(threshold):
                    near.append(photo)
        if not near:
            break
        known += near
        apart = [photo for photo in apart if photo not in near]
    named = ", ".join(str(photo.path) for photo in apart)
    if apart and not session.request.same_person:
        raise InputError(
            f"--me, PHOTO: expected photos of one person, got {len(apart)} that {judge} takes for somebody else than the "
            f"person in {first.path}: {named}; take them away, or give --same-person if it errs"
        )
    if apart:
        session.remarks.append(f"{judge} takes somebody else than the person in {first.path} to be in {named}")


def _threshold(model: Model) -> str | None:
    """A threshold that tells whether two photos are of one person, if the model has one."""
    names = [each.name for each in model.thresholds]
    return GIVEN if GIVEN in names else next((name for name in names if name.startswith(COMPARED)), None)
