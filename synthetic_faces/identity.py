"""What makes a person: the parameters that are the same in every photograph.

Lengths are in face units: the distance from the line of the eyes to the chin is about 1. x points to the picture's
right, y down, z to the camera; the origin lies between the eyes. Colours are linear, 0..1.
"""

from dataclasses import dataclass

from synthetic_faces.draws import Draws
from synthetic_faces.fields import Colour, Field, softened

SKIN_TONES: tuple[Colour, ...] = (  # from fair to dark
    (0.84, 0.58, 0.47),
    (0.76, 0.48, 0.35),
    (0.60, 0.345, 0.215),
    (0.40, 0.195, 0.105),
    (0.235, 0.105, 0.058),
    (0.125, 0.056, 0.034),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (0.012, 0.010, 0.010),  # black
    (0.038, 0.022, 0.014),  # dark brown
    (0.095, 0.050, 0.027),  # brown
    (0.20, 0.115, 0.060),  # light brown
    (0.46, 0.32, 0.165),  # blond
    (0.26, 0.085, 0.030),  # red
    (0.30, 0.29, 0.28),  # grey
    (0.62, 0.60, 0.57),  # white
)
IRIS_COLOURS: tuple[Colour, ...] = (
    (0.040, 0.020, 0.010),  # dark brown
    (0.13, 0.060, 0.022),  # brown
    (0.20, 0.145, 0.050),  # hazel
    (0.12, 0.165, 0.085),  # green
    (0.115, 0.195, 0.300),  # blue
    (0.21, 0.245, 0.265),  # grey
)


@dataclass(frozen=True)
class Skull:
    """Half widths of the head, and how far the front comes forward."""

    height: float  # from the eyes to the top
    temple: float
    cheek: float
    jaw: float
    chin: float
    depth: float
    chin_depth: float
    brow_ridge: float
    cheekbone: float
    chin_dimple: float


@dataclass(frozen=True)
class Skin:
    """Colour and fine texture."""

    colour: Colour
    redness: float
    shine: float
    freckles: float
    age: float  # 0 smooth .. 1 lined
    texture: Field  # (64, 64), -1..1, wraps
    spots: Field  # (64, 64), 0..1, wraps
    marks: tuple[tuple[float, float, float], ...]  # moles: x, y, radius


@dataclass(frozen=True)
class Eyes:
    """Where the eyes are, and what they are like."""

    spacing: float  # half the distance between the pupils
    width: float  # half the width of an eye
    opening: float  # in half widths
    tilt: float  # of the outer corner, upwards
    crease: float  # how far above the lid, in half widths
    depth: float
    iris: Colour
    iris_radius: float  # in half widths
    bags: float
    lashes: float


@dataclass(frozen=True)
class Brows:
    """The eyebrows."""

    height: float  # above the eyes
    thickness: float
    arch: float
    slope: float
    length: float
    density: float
    colour: Colour


@dataclass(frozen=True)
class Nose:
    """The nose."""

    length: float  # y of its tip
    projection: float
    bridge: float  # half width
    wings: float  # half width at the nostrils
    tip: float  # how round
    hook: float  # how far the bridge is bowed


@dataclass(frozen=True)
class Lips:
    """The mouth at rest."""

    height: float  # y
    width: float  # half
    upper: float
    lower: float
    bow: float
    colour: Colour
    redness: float


@dataclass(frozen=True)
class Hair:
    """The hair of the head; strands fall from the parting."""

    colour: Colour
    hairline: float  # above the eyes
    receding: float
    parting: float  # x
    fringe: float  # how far it falls into the forehead
    volume: float
    sides: float  # thickness
    length: float  # y where it ends
    flare: float
    curl: float
    bald: bool
    strands: Field  # (256, 16), -1..1, wraps
    locks: Field  # (32, 16), -1..1, wraps


@dataclass(frozen=True)
class Beard:
    """Facial hair: how dense on lip, chin and cheeks, and how long (0 stubble .. 1 full)."""

    lip: float
    chin: float
    cheeks: float
    length: float


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses."""

    half_width: float
    half_height: float
    roundness: float  # 0 oval .. 1 box
    thickness: float
    colour: Colour


@dataclass(frozen=True)
class Identity:
    """A person."""

    skull: Skull
    skin: Skin
    eyes: Eyes
    brows: Brows
    nose: Nose
    lips: Lips
    hair: Hair
    beard: Beard
    ears: float  # how far they stand out
    neck: float  # half width
    glasses: Glasses | None


def draw_identity(draws: Draws) -> Identity:
    """A person, by chance; what goes together in people (a strong jaw and a beard, age and grey hair) is drawn together."""
    masculine = draws.chance(0.5)
    age = draws.between(0.0, 1.0) * draws.between(0.35, 1.0)
    tone = draws.between(0.0, 1.0) * (len(SKIN_TONES) - 1)
    skin_colour = _tinted(draws, _between_tones(tone), 0.06)
    hair_colour = _hair_colour(draws, tone=tone, age=age)
    return Identity(
        skull=_skull(draws, masculine=masculine),
        skin=_skin(draws, skin_colour, tone=tone, age=age),
        eyes=_eyes(draws, tone=tone, age=age),
        brows=_brows(draws, hair_colour, masculine=masculine),
        nose=_nose(draws, tone=tone),
        lips=_lips(draws, skin_colour, tone=tone, masculine=masculine),
        hair=_hair(draws, hair_colour, masculine=masculine, age=age),
        beard=_beard(draws, masculine=masculine),
        ears=draws.between(0.055, 0.115),
        neck=draws.about(0.43 if masculine else 0.35, 0.05),
        glasses=_glasses(draws) if draws.chance(0.2) else None,
    )


def _between_tones(tone: float) -> Colour:
    place = min(int(tone), len(SKIN_TONES) - 2)
    share = tone - place
    first, second = SKIN_TONES[place], SKIN_TONES[place + 1]
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def _tinted(draws: Draws, colour: Colour, spread: float) -> Colour:
    red, green, blue = (part * draws.about(1.0, spread) for part in colour)
    return red, green, blue


def _skull(draws: Draws, *, masculine: bool) -> Skull:
    cheek = draws.about(0.68, 0.085)
    jaw = cheek * draws.about(0.82 if masculine else 0.755, 0.085)
    return Skull(
        height=draws.about(1.0, 0.1),
        temple=cheek * draws.about(0.985, 0.05),
        cheek=cheek,
        jaw=jaw,
        chin=jaw * draws.about(0.60 if masculine else 0.52, 0.12),
        depth=draws.about(0.72, 0.06),
        chin_depth=draws.about(0.60, 0.07),
        brow_ridge=draws.about(0.050 if masculine else 0.028, 0.022),
        cheekbone=draws.about(0.05, 0.04),
        chin_dimple=draws.between(0.2, 1.0) if draws.chance(0.2) else 0.0,
    )


def _skin(draws: Draws, colour: Colour, *, tone: float, age: float) -> Skin:
    fair = tone < 2.0
    marks = tuple(
        (draws.between(-0.5, 0.5), draws.between(-0.3, 0.9), draws.between(0.011, 0.024))
        for _ in range(draws.pick((0, 1, 2, 3), (0.45, 0.3, 0.15, 0.1)))
    )
    spots = draws.grid(64, 64)
    return Skin(
        colour=colour,
        redness=draws.between(0.3, 1.0) if fair else draws.between(0.0, 0.45),
        shine=draws.between(0.35, 1.0),
        freckles=draws.between(0.3, 1.0) if fair and draws.chance(0.22) else 0.0,
        age=age,
        texture=softened(draws.grid(64, 64)) * 2.0,
        spots=softened((spots > 0.86).astype(spots.dtype)),
        marks=marks,
    )


def _eyes(draws: Draws, *, tone: float, age: float) -> Eyes:
    weights = (0.12, 0.2, 0.16, 0.14, 0.26, 0.12) if tone < 1.6 else (0.55, 0.35, 0.07, 0.015, 0.01, 0.005)
    return Eyes(
        spacing=draws.about(0.285, 0.042),
        width=draws.about(0.150, 0.022),
        opening=draws.about(0.46, 0.12),
        tilt=draws.about(0.10, 0.17),
        crease=draws.about(0.22, 0.16),
        depth=draws.about(0.055, 0.03),
        iris=_tinted(draws, draws.pick(IRIS_COLOURS, weights), 0.2),
        iris_radius=draws.about(0.45, 0.035),
        bags=draws.between(0.0, 0.5) + 0.5 * age,
        lashes=draws.between(0.4, 1.0),
    )


def _brows(draws: Draws, hair_colour: Colour, *, masculine: bool) -> Brows:
    shade = draws.between(0.25, 0.75)
    red, green, blue = (part * shade for part in hair_colour)
    return Brows(
        height=draws.about(0.185 if masculine else 0.215, 0.04),
        thickness=draws.about(0.044 if masculine else 0.031, 0.016),
        arch=draws.about(0.042, 0.035),
        slope=draws.about(0.0, 0.055),
        length=draws.about(0.205, 0.03),
        density=draws.between(0.55, 1.0),
        colour=(red, green, blue),
    )


def _nose(draws: Draws, *, tone: float) -> Nose:
    return Nose(
        length=draws.about(0.43, 0.065),
        projection=draws.about(0.20, 0.06),
        bridge=draws.about(0.068, 0.018),
        wings=draws.about(0.128 + 0.007 * tone, 0.028),
        tip=draws.between(0.0, 1.0),
        hook=draws.about(0.0, 0.035),
    )


def _lips(draws: Draws, skin: Colour, *, tone: float, masculine: bool) -> Lips:
    if not masculine and draws.chance(0.35):  # lipstick
        colour = draws.pick(((0.42, 0.045, 0.06), (0.34, 0.03, 0.05), (0.50, 0.13, 0.13), (0.30, 0.07, 0.09)), (0.25,) * 4)
        redness = draws.between(0.45, 0.85)
    else:
        colour = (skin[0] * 0.78 + 0.02, skin[1] * 0.42 + 0.01, skin[2] * 0.48 + 0.012)
        redness = draws.between(0.55, 0.95)
    return Lips(
        height=draws.about(0.635, 0.045),
        width=draws.about(0.255, 0.045),
        upper=draws.about(0.052 + 0.004 * tone, 0.022),
        lower=draws.about(0.074 + 0.005 * tone, 0.026),
        bow=draws.between(0.1, 0.5),
        colour=_tinted(draws, colour, 0.1),
        redness=redness,
    )


def _hair_colour(draws: Draws, *, tone: float, age: float) -> Colour:
    if age > 0.62 and draws.chance(0.7):
        return _tinted(draws, draws.pick(HAIR_COLOURS[-2:], (0.65, 0.35)), 0.08)
    weights = (0.08, 0.22, 0.22, 0.18, 0.2, 0.1, 0.0, 0.0) if tone < 1.6 else (0.5, 0.36, 0.12, 0.02, 0.0, 0.0, 0.0, 0.0)
    return _tinted(draws, draws.pick(HAIR_COLOURS, weights), 0.15)


def _hair(draws: Draws, colour: Colour, *, masculine: bool, age: float) -> Hair:
    short = draws.chance(0.86 if masculine else 0.2)
    length = draws.between(-0.1, 0.25) if short else draws.between(0.5, 1.75)
    curl = draws.between(0.0, 0.25) if draws.chance(0.6) else draws.between(0.4, 1.0)
    return Hair(
        colour=colour,
        hairline=draws.about(0.56, 0.09),
        receding=draws.between(0.0, 0.12) + (0.18 * age if masculine else 0.0),
        parting=draws.pick((-0.28, 0.0, 0.28), (0.35, 0.3, 0.35)) + draws.about(0.0, 0.1),
        fringe=draws.between(0.08, 0.27) if draws.chance(0.3) else 0.0,
        volume=draws.between(0.03, 0.2),
        sides=draws.between(0.02, 0.07) if short else draws.between(0.05, 0.15),
        length=length,
        flare=0.0 if short else draws.between(-0.04, 0.22),
        curl=curl,
        bald=masculine and draws.chance(0.06 + 0.2 * age),
        strands=draws.grid(256, 16),
        locks=draws.grid(32, 16),
    )


def _beard(draws: Draws, *, masculine: bool) -> Beard:
    style = draws.pick(("none", "stubble", "moustache", "goatee", "full"), (0.45, 0.22, 0.07, 0.1, 0.16))
    if not masculine or style == "none":
        return Beard(0.0, 0.0, 0.0, 0.0)
    if style == "stubble":
        density = draws.between(0.25, 0.6)
        return Beard(density, density, density * draws.between(0.6, 1.0), 0.0)
    if style == "moustache":
        return Beard(draws.between(0.8, 1.0), 0.12, 0.12, draws.between(0.4, 0.8))
    if style == "goatee":
        return Beard(draws.between(0.7, 1.0), draws.between(0.8, 1.0), 0.15, draws.between(0.3, 0.8))
    lip, chin, cheeks = draws.between(0.8, 1.0), draws.between(0.8, 1.0), draws.between(0.8, 1.0)
    return Beard(lip, chin, cheeks, draws.between(0.4, 1.0))


def _glasses(draws: Draws) -> Glasses:
    return Glasses(
        half_width=draws.between(0.19, 0.245),
        half_height=draws.between(0.125, 0.19),
        roundness=draws.between(0.0, 1.0),
        thickness=draws.between(0.010, 0.021),
        colour=draws.pick(
            ((0.01, 0.01, 0.012), (0.09, 0.04, 0.02), (0.30, 0.24, 0.14), (0.28, 0.28, 0.3)), (0.45, 0.25, 0.15, 0.15)
        ),
    )
