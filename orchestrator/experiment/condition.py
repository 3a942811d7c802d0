"""Conditions: what happens to a picture between the protector and the invader.

A condition is data, and its text is its name: `STORAGE(+TRANSFORM)*[@full][/CARRIER]`, as in `jpeg:95+resize:112`.
Storage is what whoever protects a photo does with it; what another tool made may stay the file that it is. Transforms are
what anybody does to it afterwards: to a cloak, what a platform does and what an invader does to be rid of cloaks are the
same thing. The carrier says which pictures wear the cloak: the one that is searched, those that are enrolled, or both.
Pairs alone have `/target` in its place: the one that is searched wears it, and is compared with whom it is to pass for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import total_ordering

from orchestrator.errors import InputError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.region import Region

JPEG, PNG, AS_IS = "jpeg", "png", "as-is"
CHAIN, STRENGTH, REGION, CARRIER = "+", ":", "@", "/"  # in a condition's text: before a transform, a strength, and so on
TARGET = "target"  # in place of a carrier
MAX_TRANSFORMS = 8  # of one condition


@dataclass(frozen=True)
class Strengths:
    """The strengths that a transform can have."""

    meaning: str
    low: float
    high: float
    whole: bool = True
    odd: bool = False

    def __str__(self) -> str:
        number = "an odd number" if self.odd else "a whole number" if self.whole else "a number"
        return f"{number} of {self.low:g}..{self.high:g}, {self.meaning}"

    def parse(self, kind: str, text: str) -> float:
        """A strength from its text.

        Raises:
            InputError: it is none of these; the message names the kind of transform.
        """
        try:
            strength = float(text)
        except ValueError:
            strength = float("nan")
        if not self.hold(strength):
            raise InputError(f"{kind}: expected {self}, got {text or 'nothing'}")
        return float(f"{strength:g}")  # as it is written

    def hold(self, strength: float) -> bool:
        """Whether it is one of these; not a number is not."""
        return (
            self.low <= strength <= self.high
            and (not self.whole or strength == int(strength))
            and (not self.odd or strength % 2 == 1)
        )


QUALITY = Strengths("the quality", 1, 100)
TRANSFORMS: Mapping[str, Strengths] = {
    "bits": Strengths("the bits that each channel keeps", 1, 7),
    "blur": Strengths("the standard deviation of a Gaussian in pixels", 0.1, 20, whole=False),
    JPEG: QUALITY,
    "median": Strengths("the side of the window in pixels", 3, 15, odd=True),
    "resize": Strengths("the longer side at most, in pixels", 8, 4096),
    "webp": QUALITY,
}


@dataclass(frozen=True)
class Transform:
    """One step of a chain."""

    kind: str  # a key of TRANSFORMS
    strength: float

    @classmethod
    def parse(cls, text: str) -> "Transform":
        """From its text, as in `resize:112`.

        Raises:
            InputError: it is none.
        """
        kind, _, strength = (part.strip() for part in text.partition(STRENGTH))
        if kind not in TRANSFORMS:
            known = ", ".join(f"{name}:{'SIGMA' if name == 'blur' else 'N'}" for name in TRANSFORMS)
            raise InputError(f"expected a transform ({known}), got {text!r}")
        return cls(kind, TRANSFORMS[kind].parse(kind, strength))

    def __str__(self) -> str:
        return f"{self.kind}{STRENGTH}{self.strength:g}"


@dataclass(frozen=True)
class Storage:
    """How a picture is stored: as JPEG of a quality, 1..100, with 4:2:0 chroma subsampling, as lossless PNG, or as it is."""

    jpeg_quality: int | None = None  # None: another storage
    as_is: bool = False  # the file's own bytes

    @classmethod
    def parse(cls, text: str) -> "Storage":
        """From its text, as in `jpeg:95`.

        Raises:
            InputError: it is none.
        """
        kind, _, strength = (part.strip() for part in text.partition(STRENGTH))
        if kind in (PNG, AS_IS) and not strength:
            return cls(as_is=kind == AS_IS)
        if kind != JPEG or not strength:
            raise InputError(f"expected a storage first, jpeg:QUALITY, png or as-is, got {text!r}")
        return cls(int(QUALITY.parse(kind, strength)))

    def __str__(self) -> str:
        if self.as_is:
            return AS_IS
        return PNG if self.jpeg_quality is None else f"{JPEG}{STRENGTH}{self.jpeg_quality}"


@total_ordering
@dataclass(frozen=True, repr=False)
class Condition:
    """What happens to a picture on its way, in this order. Conditions are ordered by their texts."""

    storage: Storage
    transforms: tuple[Transform, ...] = ()
    region: Region = Region.DETECTED
    carrier: Carrier = Carrier.PROBE
    claims_target: bool = False  # whether a probe is compared with the person that it is to pass for, not with its own

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """From its text, in whatever spelling: `jpeg:095` is `jpeg:95`.

        Raises:
            InputError: it is none; the message says what was expected.
        """
        picture, slash, carrier = text.strip().partition(CARRIER)
        if slash and carrier.strip() not in (*_ENROLLING, TARGET):
            expected = " or ".join(CARRIER + each for each in _ENROLLING)
            raise InputError(f"{text}: expected {expected} or no carrier, got {CARRIER}{carrier}")
        chain, at, region = picture.strip().partition(REGION)
        if at and region.strip() != Region.FULL.value:
            raise InputError(f"{text}: expected {REGION}{Region.FULL.value} or no region, got {REGION}{region}")
        storage, *transforms = chain.split(CHAIN)
        if len(transforms) > MAX_TRANSFORMS:
            raise InputError(f"{text}: expected at most {MAX_TRANSFORMS} transforms, got {len(transforms)}")
        try:
            condition = cls(
                Storage.parse(storage),
                tuple(Transform.parse(each) for each in transforms),
                Region.FULL if at else Region.DETECTED,
                Carrier(carrier.strip()) if slash and carrier.strip() != TARGET else Carrier.PROBE,
                claims_target=carrier.strip() == TARGET,
            )
        except InputError as error:
            raise InputError(f"{text}: {error}") from error
        if at and not condition.carrier.is_searched:
            raise InputError(
                f"{text}: expected no region: what is searched is a whole photo, in which a face is to be found"
            )
        return condition

    @property
    def is_transformed(self) -> bool:
        """Whether anything is done to a stored picture."""
        return bool(self.transforms)

    def __str__(self) -> str:
        chain = CHAIN.join(map(str, (self.storage, *self.transforms)))
        region = "" if self.region is Region.DETECTED else f"{REGION}{self.region}"
        carrier = "" if self.carrier is Carrier.PROBE else f"{CARRIER}{self.carrier}"
        return f"{chain}{region}{carrier}{CARRIER + TARGET if self.claims_target else ''}"

    @property
    def chain(self) -> "Condition":
        """What is done to a picture that wears the cloak, whichever that is: storage and transforms alone."""
        return Condition(self.storage, self.transforms)

    def carried_by(self, carrier: Carrier) -> "Condition":
        """The same with another carrier."""
        return replace(self, carrier=carrier)

    @property
    def towards_target(self) -> "Condition":
        """The same with whom the probe is to pass for in place of its own person."""
        return replace(self, claims_target=True)

    def __repr__(self) -> str:
        return f"Condition({self})"

    def __lt__(self, other: "Condition") -> bool:
        return str(self) < str(other)


_ENROLLING = tuple(carrier.value for carrier in Carrier if carrier.enrols)

PAPERS = Condition(Storage(95))  # the quality is a choice: the paper says JPEG only
LOSSLESS = Condition(Storage())
FULL = Condition(Storage(95), region=Region.FULL)

NAMED_SETS: Mapping[str, tuple[Condition, ...]] = {
    "paper": (PAPERS, FULL, LOSSLESS),  # what its claims on compression and resizing compare
    "threat": tuple(PAPERS.carried_by(each) for each in Carrier),  # which pictures a cloak protects
    "purification": (
        PAPERS,
        *(
            Condition(Storage(95), (Transform.parse(each),))
            for each in (
                *("bits:5", "bits:4", "bits:3", "blur:0.5", "blur:1", "blur:2", "jpeg:75", "jpeg:50", "jpeg:25"),
                *("median:3", "median:5", "resize:160", "resize:112", "resize:80"),
            )
        ),
    ),
    "platforms": (
        PAPERS,
        *(
            Condition(Storage(95), tuple(map(Transform.parse, each)))
            for each in (
                ("resize:1080", "jpeg:75"),  # what sites of photos show in a feed
                ("resize:1600", "jpeg:70"),  # what messengers send
                ("resize:2048", "jpeg:80"),  # what social networks keep
                ("resize:4096", "jpeg:85"),  # what the most careful of them keep
            )
        ),
    ),
}


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Conditions and named sets, with commas between; sorted. What a set has may be in another, too.

    Raises:
        InputError: one is none, or named twice; or there are none.
    """
    named: list[Condition] = []
    found: set[Condition] = set()
    for each in (part.strip() for part in text.split(",") if part.strip()):
        if each in NAMED_SETS:
            found.update(NAMED_SETS[each])
        else:
            named.append(_condition(each))
    for condition in named:
        if named.count(condition) > 1:
            raise InputError(f"expected every condition once, got {condition} twice")
    found.update(named)
    if not found:
        raise InputError(f"expected a condition or a named set ({', '.join(NAMED_SETS)}), got none")
    return tuple(sorted(found))


def headline_condition(conditions: Iterable[Condition]) -> Condition:
    """The condition that headlines and figures are of: the paper's, or else the first with the fewest transforms.

    Of those that are alike but for the carrier it is that of the simplest threat.
    """
    carriers = list(Carrier)

    def key(each: Condition) -> tuple[bool, bool, int, bool, int, bool, Condition]:
        is_full, carrier = each.region is Region.FULL, carriers.index(each.carrier)
        return each.carrier.enrols, each != PAPERS, len(each.transforms), is_full, carrier, each.claims_target, each

    return min(conditions, key=key)


def _condition(text: str) -> Condition:
    try:
        return Condition.parse(text)
    except InputError as error:
        sets = (
            "" if any(mark in text for mark in (STRENGTH, CHAIN, CARRIER)) else f"; or a named set: {', '.join(NAMED_SETS)}"
        )
        raise InputError(f"{error}{sets}") from error
