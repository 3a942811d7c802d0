"""Who is asked, where faces are, and whether the photos show one person: all that is settled before a cloak is made."""

from collections.abc import Sequence

from orchestrator.errors import InputError
from orchestrator.experiment.model import Model, ModelKind
from orchestrator.protect.cloaker import Located
from orchestrator.protect.people import apart
from orchestrator.protect.photo_files import UserPhoto
from orchestrator.protect.plan import Recognizers, divide
from orchestrator.protect.session import Session
from orchestrator.services.galleries import LastingGallery

GIVEN = "given"  # a threshold that is the network's own, and not calibrated for one gallery


async def locate(session: Session) -> tuple[list[Located], Recognizers]:
    """Where the faces are in each photo, and who is asked about them."""
    request, cloaker = session.request, session.cloaker
    matchers = {name for name, model in session.invader_models.items() if model.kind is ModelKind.MATCHER}
    names = matchers if request.recognizers is None else set(request.recognizers)
    if not names or not names <= matchers:
        known, missing = ", ".join(sorted(matchers)) or "none", ", ".join(sorted(names - matchers)) or "none"
        raise InputError(f"--recognizers: expected matchers of the {session.oracle.invader.name} ({known}), got {missing}")
    too_many = [name for name in sorted(names) if request.k > (session.invader_models[name].max_candidates or request.k)]
    if too_many:
        most = session.invader_models[too_many[0]].max_candidates
        raise InputError(f"--k: expected at most the {most} answers that {too_many[0]} gives, got {request.k}")
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
        if each.others:
            session.remarks.append(
                f"{each.photo.path}: {len(each.others)} other face{'s' if len(each.others) > 1 else ''} in it get no cloak"
            )
    return located, people


async def checked_own(session: Session, located: Sequence[Located], people: Recognizers) -> tuple[UserPhoto, ...]:
    """The person's other photos in which a face is found, if they show the person of the photos.

    Raises:
        InputError: they do not, or show no face.
    """
    own = session.request.own
    if own is None:
        return ()
    session.said.status(f"looking at the {len(own.photos)} photos of --me")
    singly = {f"photo {number}": [photo.encoded] for number, photo in enumerate(own.photos)}
    async with session.known_to_invader(singly) as gallery:
        faceless = await session.oracle.without_face(gallery)
        kept = [photo for number, photo in enumerate(own.photos) if f"photo {number}" not in faceless]
        for photo in own.photos:
            if photo not in kept:
                session.remarks.append(f"{photo.path}: no face was found in it, so it was left out")
        if not kept:
            raise InputError(f"--me: expected at least one photo with a face, got {len(own.photos)} without")
        await _check_person(session, [each.photo for each in located], own.photos, kept, gallery, people)
    return tuple(kept)


async def _check_person(
    session: Session,
    photos: Sequence[UserPhoto],
    own: Sequence[UserPhoto],
    kept: Sequence[UserPhoto],
    gallery: LastingGallery,
    people: Recognizers,
) -> None:
    """Compares all photos of the person with each other, by the threshold of a recognizer that is asked anyway."""
    judge = next((name for name in people.asked if _threshold(session.invader_models[name]) is not None), None)
    if judge is None:
        session.remarks.append(
            "whether --me shows one person was not looked at: no recognizer that is asked has a threshold of its own"
        )
        return
    names = {f"photo {number}": str(photo.path) for number, photo in enumerate(own)}
    model = session.invader_models[judge]
    threshold, k = _threshold(model), min(model.max_candidates or len(own), len(own) + 1)
    likenesses: dict[str, frozenset[str]] = {}
    for photo in (*photos, *kept):
        found = await session.oracle.search(photo.encoded, (judge,), gallery, k=k)
        if found is not None and threshold is not None:
            near = found[judge].candidates[: found[judge].reached.get(threshold, 0)]
            likenesses[str(photo.path)] = frozenset(names[each] for each in near if each in names)
    for photo in photos:
        others = apart(str(photo.path), [str(each.path) for each in kept], likenesses)
        if others and not session.request.same_person:
            raise InputError(
                f"--me: expected photos of the person in {photo.path}, got {len(others)} that {judge} takes for somebody "
                f"else: {', '.join(others[:5])}; take them away, or give --same-person if they are of the same person "
                "after all"
            )
        if others:
            session.remarks.append(f"{judge} takes {', '.join(others)} for somebody else than {photo.path}")


def _threshold(model: Model) -> str | None:
    """A threshold that says whether two photos are of one person, if the model has one."""
    names = [each.name for each in model.thresholds]
    return GIVEN if GIVEN in names else next(iter(names), None)
