"""What makes a person: the parameters that are the same in every photograph, each drawn by chance.

Lengths are in face units: the distance from the line of the eyes to the chin is about 1. x points to the picture's
right, y down, z to the camera; the origin lies between the eyes. Colours are linear, 0..1.
"""

from synthetic_faces.draws import Draws
from synthetic_faces.fields import Colour, softened

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


class Identity:
    """A person; what goes together in people (a strong jaw and a beard, age and grey hair) is drawn together."""

    def __init__(self, draws: Draws) -> None:
        masculine = draws.chance(0.5)
        age = draws.between(0.0, 1.0) * draws.between(0.35, 1.0)
        tone = draws.between(0.0, 1.0) * (len(SKIN_TONES) - 1)
        skin_colour = _tinted(draws, _between_tones(tone), 0.06)
        hair_colour = _hair_colour(draws, tone=tone, age=age)
        self.skull = Skull(draws, masculine=masculine)
        self.skin = Skin(draws, skin_colour, tone=tone, age=age)
        self.eyes = Eyes(draws, tone=tone, age=age)
        self.brows = Brows(draws, hair_colour, masculine=masculine)
        self.nose = Nose(draws, tone=tone)
        self.lips = Lips(draws, skin_colour, tone=tone, masculine=masculine)
        self.hair = Hair(draws, hair_colour, masculine=masculine, age=age)
        self.beard = Beard(draws, masculine=masculine)
        self.ears = draws.between(0.055, 0.115)  # how far they stand out
        self.neck = draws.about(0.43 if masculine else 0.35, 0.05)  # half width
        self.glasses = Glasses(draws) if draws.chance(0.2) else None


class Skull:
    """Half widths of the head, and how far the front comes forward."""

    def __init__(self, draws: Draws, *, masculine: bool) -> None:
        self.cheek = draws.about(0.68, 0.085)
        self.jaw = self.cheek * draws.about(0.82 if masculine else 0.755, 0.085)
        self.height = draws.about(1.0, 0.1)  # from the eyes to the top
        self.temple = self.cheek * draws.about(0.985, 0.05)
        self.chin = self.jaw * draws.about(0.60 if masculine else 0.52, 0.12)
        self.depth = draws.about(0.72, 0.06)
        self.chin_depth = draws.about(0.60, 0.07)
        self.brow_ridge = draws.about(0.050 if masculine else 0.028, 0.022)
        self.cheekbone = draws.about(0.05, 0.04)
        self.chin_dimple = draws.between(0.2, 1.0) if draws.chance(0.2) else 0.0


class Skin:
    """Colour and fine texture."""

    def __init__(self, draws: Draws, colour: Colour, *, tone: float, age: float) -> None:
        fair = tone < 2.0
        self.marks = tuple(  # moles: x, y, radius
            (draws.between(-0.5, 0.5), draws.between(-0.3, 0.9), draws.between(0.011, 0.024))
            for _ in range(draws.pick((0, 1, 2, 3), (0.45, 0.3, 0.15, 0.1)))
        )
        spots = draws.grid(64, 64)
        self.spots = softened((spots > 0.86).astype(spots.dtype))  # (64, 64), 0..1, wraps
        self.colour = colour
        self.redness = draws.between(0.3, 1.0) if fair else draws.between(0.0, 0.45)
        self.shine = draws.between(0.35, 1.0)
        self.freckles = draws.between(0.3, 1.0) if fair and draws.chance(0.22) else 0.0
        self.age = age  # 0 smooth .. 1 lined
        self.texture = softened(draws.grid(64, 64)) * 2.0  # (64, 64), -1..1, wraps


class Eyes:
    """Where the eyes are, and what they are like."""

    def __init__(self, draws: Draws, *, tone: float, age: float) -> None:
        weights = (0.12, 0.2, 0.16, 0.14, 0.26, 0.12) if tone < 1.6 else (0.55, 0.35, 0.07, 0.015, 0.01, 0.005)
        self.spacing = draws.about(0.285, 0.042)  # half the distance between the pupils
        self.width = draws.about(0.150, 0.022)  # half the width of an eye
        self.opening = draws.about(0.46, 0.12)  # in half widths
        self.tilt = draws.about(0.10, 0.17)  # of the outer corner, upwards
        self.crease = draws.about(0.22, 0.16)  # how far above the lid, in half widths
        self.depth = draws.about(0.055, 0.03)
        self.iris = _tinted(draws, draws.pick(IRIS_COLOURS, weights), 0.2)
        self.iris_radius = draws.about(0.45, 0.035)  # in half widths
        self.bags = draws.between(0.0, 0.5) + 0.5 * age
        self.lashes = draws.between(0.4, 1.0)


class Brows:
    """The eyebrows."""

    def __init__(self, draws: Draws, hair_colour: Colour, *, masculine: bool) -> None:
        shade = draws.between(0.25, 0.75)
        red, green, blue = (part * shade for part in hair_colour)
        self.colour = (red, green, blue)
        self.height = draws.about(0.185 if masculine else 0.215, 0.04)  # above the eyes
        self.thickness = draws.about(0.044 if masculine else 0.031, 0.016)
        self.arch = draws.about(0.042, 0.035)
        self.slope = draws.about(0.0, 0.055)
        self.length = draws.about(0.205, 0.03)
        self.density = draws.between(0.55, 1.0)


class Nose:
    """The nose."""

    def __init__(self, draws: Draws, *, tone: float) -> None:
        self.length = draws.about(0.43, 0.065)  # y of its tip
        self.projection = draws.about(0.20, 0.06)
        self.bridge = draws.about(0.068, 0.018)  # half width
        self.wings = draws.about(0.128 + 0.007 * tone, 0.028)  # half width at the nostrils
        self.tip = draws.between(0.0, 1.0)  # how round
        self.hook = draws.about(0.0, 0.035)  # how far the bridge is bowed


class Lips:
    """The mouth at rest."""

    def __init__(self, draws: Draws, skin: Colour, *, tone: float, masculine: bool) -> None:
        if not masculine and draws.chance(0.35):  # lipstick
            lipsticks = ((0.42, 0.045, 0.06), (0.34, 0.03, 0.05), (0.50, 0.13, 0.13), (0.30, 0.07, 0.09))
            colour = draws.pick(lipsticks, (0.25,) * 4)
            self.redness = draws.between(0.45, 0.85)
        else:
            colour = (skin[0] * 0.78 + 0.02, skin[1] * 0.42 + 0.01, skin[2] * 0.48 + 0.012)
            self.redness = draws.between(0.55, 0.95)
        self.height = draws.about(0.635, 0.045)  # y
        self.width = draws.about(0.255, 0.045)  # half
        self.upper = draws.about(0.052 + 0.004 * tone, 0.022)
        self.lower = draws.about(0.074 + 0.005 * tone, 0.026)
        self.bow = draws.between(0.1, 0.5)
        self.colour = _tinted(draws, colour, 0.1)


class Hair:
    """The hair of the head; strands fall from the parting."""

    def __init__(self, draws: Draws, colour: Colour, *, masculine: bool, age: float) -> None:
        short = draws.chance(0.86 if masculine else 0.2)
        self.length = draws.between(-0.1, 0.25) if short else draws.between(0.5, 1.75)  # y where it ends
        self.curl = draws.between(0.0, 0.25) if draws.chance(0.6) else draws.between(0.4, 1.0)
        self.colour = colour
        self.hairline = draws.about(0.56, 0.09)  # above the eyes
        self.receding = draws.between(0.0, 0.12) + (0.18 * age if masculine else 0.0)
        self.parting = draws.pick((-0.28, 0.0, 0.28), (0.35, 0.3, 0.35)) + draws.about(0.0, 0.1)  # x
        self.fringe = draws.between(0.08, 0.27) if draws.chance(0.3) else 0.0  # how far it falls into the forehead
        self.volume = draws.between(0.03, 0.2)
        self.sides = draws.between(0.02, 0.07) if short else draws.between(0.05, 0.15)  # thickness
        self.flare = 0.0 if short else draws.between(-0.04, 0.22)
        self.bald = masculine and draws.chance(0.06 + 0.2 * age)
        self.strands = draws.grid(256, 16)  # -1..1, wraps
        self.locks = draws.grid(32, 16)  # -1..1, wraps


class Beard:
    """Facial hair: how dense on lip, chin and cheeks, and how long (0 stubble .. 1 full)."""

    def __init__(self, draws: Draws, *, masculine: bool) -> None:
        style = draws.pick(("none", "stubble", "moustache", "goatee", "full"), (0.45, 0.22, 0.07, 0.1, 0.16))
        self.lip = self.chin = self.cheeks = self.length = 0.0
        if not masculine or style == "none":
            return
        if style == "stubble":
            self.lip = self.chin = density = draws.between(0.25, 0.6)
            self.cheeks = density * draws.between(0.6, 1.0)
        elif style == "moustache":
            self.lip, self.chin, self.cheeks = draws.between(0.8, 1.0), 0.12, 0.12
            self.length = draws.between(0.4, 0.8)
        elif style == "goatee":
            self.lip, self.chin, self.cheeks = draws.between(0.7, 1.0), draws.between(0.8, 1.0), 0.15
            self.length = draws.between(0.3, 0.8)
        else:
            self.lip, self.chin, self.cheeks = draws.between(0.8, 1.0), draws.between(0.8, 1.0), draws.between(0.8, 1.0)
            self.length = draws.between(0.4, 1.0)


class Glasses:
    """A pair of glasses."""

    def __init__(self, draws: Draws) -> None:
        self.half_width = draws.between(0.19, 0.245)
        self.half_height = draws.between(0.125, 0.19)
        self.roundness = draws.between(0.0, 1.0)  # 0 oval .. 1 box
        self.thickness = draws.between(0.010, 0.021)
        colours = ((0.01, 0.01, 0.012), (0.09, 0.04, 0.02), (0.30, 0.24, 0.14), (0.28, 0.28, 0.3))
        self.colour = draws.pick(colours, (0.45, 0.25, 0.15, 0.15))


def _between_tones(tone: float) -> Colour:
    place = min(int(tone), len(SKIN_TONES) - 2)
    share = tone - place
    first, second = SKIN_TONES[place], SKIN_TONES[place + 1]
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def _tinted(draws: Draws, colour: Colour, spread: float) -> Colour:
    red, green, blue = (part * draws.about(1.0, spread) for part in colour)
    return red, green, blue


def _hair_colour(draws: Draws, *, tone: float, age: float) -> Colour:
    if age > 0.62 and draws.chance(0.7):
        return _tinted(draws, draws.pick(HAIR_COLOURS[-2:], (0.65, 0.35)), 0.08)
    weights = (0.08, 0.22, 0.22, 0.18, 0.2, 0.1, 0.0, 0.0) if tone < 1.6 else (0.5, 0.36, 0.12, 0.02, 0.0, 0.0, 0.0, 0.0)
    return _tinted(draws, draws.pick(HAIR_COLOURS, weights), 0.15)
