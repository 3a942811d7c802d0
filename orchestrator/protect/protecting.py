"""One session: settles each case, and gathers what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import InputError, PhotoRefusedError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.pictures.conditions import check_possible
from orchestrator.protect.case import Answer, Case
from orchestrator.protect.cloaker import Located
from orchestrator.protect.knowing import checked_own, locate
from orchestrator.protect.photo_files import UserPhoto
from orchestrator.protect.plan import Recognizers, budgets_up_to, stored_as
from orchestrator.protect.questions import CloakedPhoto, OfEnrolledPhotos, OfSearchedPhoto, Question
from orchestrator.protect.request import ProtectRequest, Said
from orchestrator.protect.result import Effort, ProtectedPhoto, Protection, Republished, SettledCase
from orchestrator.protect.search import Ask, settle
from orchestrator.protect.session import Session, open_session
from orchestrator.protect.verdict import Setting, Strangers
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.services.galleries import LastingGallery
from rpc.images.decoding import upright_size
from rpc.images.limits import ImageLimits


async def protect(request: ProtectRequest, *, protector: EndpointSpec, invader: EndpointSpec, said: Said) -> Protection:
    """Searches for the smallest cloak that hides the person, and asks those who were held out of it.

    Photos are sent to these two services alone, and what is written down meanwhile is removed in the end.

    Raises:
        InputError: it cannot be asked so.
        OrchestratorError: a service failed.
    """
    stored = stored_as(request.conditions)
    # The file that is written is always asked about.
    request = replace(request, conditions=tuple(sorted({stored, *request.conditions})))
    check_possible(request.conditions)
    if request.k >= len(request.strangers.identities):
        raise InputError(
            f"--k: expected fewer than the {len(request.strangers.identities)} people of --strangers, so that not everybody "
            f"is named, got {request.k}"
        )
    if request.carrier is Carrier.GALLERY and request.own is None:
        raise InputError("--carrier gallery: expected --me DIR beside it, with the clean photos that are searched, got none")
    async with open_session(request, protector, invader, said) as session:
        located, people = await locate(session)
        own = await checked_own(session, located, people)
        settled = await _settle_all(session, located, people, own, stored)
        return Protection(
            cases=settled,
            stored=stored,
            method=request.method,
            seed=request.seed,
            services=(session.cloaker.protector.name, session.oracle.invader.name),
            remarks=(*session.remarks, *(request.own.left_out if request.own is not None else ())),
            effort=Effort(
                session.oracle.count.queries,
                dict(session.oracle.count.searches),
                sum(each.cloak.gradients for case in settled for each in case.photos if each.cloak is not None),
            ),
        )


async def _settle_all(
    session: Session,
    located: Sequence[Located],
    people: Recognizers,
    own: Sequence[UserPhoto],
    stored: Condition,
) -> tuple[SettledCase, ...]:
    request = session.request
    if request.carrier is Carrier.GALLERY:
        return (await _settle_uploads(session, located, people, own, stored),)
    settled = []
    for number, each in enumerate(located, start=1):
        which = "" if len(located) == 1 else f"photo {number} of {len(located)}: "
        others = own or [other.photo for other in located if other is not each]
        settled.append(await _settle_photo(session, each, people, others, stored, which=which))
    return tuple(settled)


async def _settle_photo(
    session: Session,
    located: Located,
    people: Recognizers,
    others: Sequence[UserPhoto],
    stored: Condition,
    *,
    which: str,
) -> SettledCase:
    """Whether this photo is named, by recognizers that know the others, or itself where there are none."""
    enrolled = {session.person: [photo.encoded for photo in others or [located.photo]]}
    async with session.known_to_invader(enrolled) as known, session.known_to_protector(enrolled) as to_protector:
        worn = _worn(session, located, people, to_protector, which)
        question = Question(session.oracle, session.person, session.request.k, session.request.conditions)
        ask = _told(session, OfSearchedPhoto(question, worn, known), which)
        case = await settle(_case(session.request, people, (located.photo,), (located.photo,)), ask)
    setting = _setting(session, enrolled=len(others or [located.photo]), by_itself=not others, located=[located])
    return SettledCase(case, setting, (await _protected(case, located, worn, stored),))


async def _settle_uploads(
    session: Session, located: Sequence[Located], people: Recognizers, own: Sequence[UserPhoto], stored: Condition
) -> SettledCase:
    """Whether clean photos find the person by these photos, if these are all that is online and wear cloaks."""
    enrolled = {session.person: [photo.encoded for photo in own]}
    async with session.known_to_protector(enrolled) as to_protector:
        worn = [_worn(session, each, people, to_protector, f"{each.photo.name}: ") for each in located]
        question = Question(session.oracle, session.person, session.request.k, session.request.conditions)
        ask = _told(session, OfEnrolledPhotos(question, worn, own, session.known_to_invader), "")
        case = await settle(_case(session.request, people, [each.photo for each in located], own), ask)
    setting = _setting(session, enrolled=len(located), by_itself=False, located=located)
    photos = [await _protected(case, each, cloaks, stored) for each, cloaks in zip(located, worn, strict=True)]
    return SettledCase(case, setting, tuple(photos))


def _worn(session: Session, located: Located, people: Recognizers, gallery: LastingGallery, which: str) -> CloakedPhoto:
    request = session.request

    async def craft() -> Mapping[int, Cloak]:
        session.said.status(f"{which}making cloaks with {people.source_model}")
        try:
            return await session.cloaker.cloaks(
                located.photo,
                source_model=people.source_model,
                method=request.method,
                budgets=budgets_up_to(request.max_epsilon),
                identity=session.person,
                gallery=gallery,
            )
        except PhotoRefusedError as error:
            raise InputError(f"{located.photo.path}: {error}") from error

    return CloakedPhoto(located.photo, craft)


def _told(session: Session, ask: Ask, which: str) -> Ask:
    async def asking(budget: int, recognizers: Sequence[str]) -> tuple[Answer, ...]:
        what = f"cloaks of {budget} levels" if budget else "no cloak"
        session.said.status(f"{which}asking {', '.join(recognizers)} about {what}")
        return await ask(budget, recognizers)

    return asking


def _case(request: ProtectRequest, people: Recognizers, photos: Sequence[UserPhoto], searched: Sequence[UserPhoto]) -> Case:
    return Case(
        photos=tuple(photo.name for photo in photos),
        searched=tuple(photo.name for photo in searched),
        carrier=request.carrier,
        k=request.k,
        conditions=request.conditions,
        budgets=budgets_up_to(request.max_epsilon),
        asked=people.asked,
        held_out=people.held_out,
        sources=people.sources,
    )


def _setting(session: Session, *, enrolled: int, by_itself: bool, located: Sequence[Located]) -> Setting:
    strangers = session.request.strangers
    return Setting(
        Strangers(len(strangers.identities), strangers.synthetic),
        enrolled=enrolled,
        by_itself=by_itself,
        other_faces=sum(len(each.others) for each in located),
    )


async def _protected(case: Case, located: Located, worn: CloakedPhoto, stored: Condition) -> ProtectedPhoto:
    protected = ProtectedPhoto(located.photo, located.box, located.others)
    if case.found is None:
        return protected
    pictures = await worn.under(case.found, dict.fromkeys((stored, *case.conditions)))
    return replace(
        protected,
        cloak=worn.cloaks[case.found].record,
        file=pictures[stored],
        republished=tuple(
            Republished(condition, *upright_size(pictures[condition], limits=ImageLimits()), len(pictures[condition]))
            for condition in case.conditions
        ),
    )
