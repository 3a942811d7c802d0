"""What makes a moment: the parameters that differ between photographs of one person, each drawn by chance."""

from synthetic_faces.draws import Draws
from synthetic_faces.fields import Colour


class Setting:
    """A moment."""

    def __init__(self, draws: Draws) -> None:
        smiling = draws.chance(0.5)
        self.pose = Pose(draws)
        self.expression = Expression(draws, smiling=smiling)
        self.light = Light(draws)
        self.framing = Framing(draws)
        self.camera = Camera(draws)
        self.backdrop = (_muted(draws), _muted(draws))
        self.clothes = _muted(draws)
        self.collar = draws.between(0.0, 0.4)  # how low it is
        self.windblown = draws.between(-1.0, 1.0)  # shifts the strands


class Pose:
    """How the head is turned: tangents of half the angles (0.1 is about 11 degrees)."""

    def __init__(self, draws: Draws) -> None:
        self.yaw = draws.about(0.0, 0.21)  # to the picture's right
        self.pitch = draws.about(0.0, 0.07)  # upwards
        self.roll = draws.about(0.0, 0.085)


class Expression:
    """What the face does."""

    def __init__(self, draws: Draws, *, smiling: bool) -> None:
        self.smile = draws.between(0.3, 1.0) if smiling else draws.about(0.0, 0.35)  # -0.4 .. 1
        self.mouth_open = draws.between(0.15, 0.7) if draws.chance(0.42 if smiling else 0.12) else 0.0  # 0..1
        self.eyes_open = draws.about(0.98, 0.2)  # share of the eyes' opening
        self.brows_raised = draws.about(0.0, 0.035)  # face units
        self.gaze = (draws.about(0.0, 0.2), draws.about(0.0, 0.09))  # of the iris, in half widths of an eye


class Light:
    """A key light from one side, and light from all around."""

    def __init__(self, draws: Draws) -> None:
        x, y = draws.about(0.0, 0.85), draws.about(-0.35, 0.4)
        length = (x * x + y * y + 1.0) ** 0.5
        warmth = draws.about(0.0, 0.13)
        key = draws.between(0.55, 0.95)
        ambient = draws.between(0.28, 0.55)
        cool = draws.about(0.0, 0.07)
        self.direction = (x / length, y / length, 1.0 / length)  # to the light: x right, y down, z to the camera; length 1
        self.key: Colour = (key * (1.0 + warmth), key, key * (1.0 - warmth))
        self.ambient: Colour = (ambient * (1.0 - cool), ambient, ambient * (1.0 + cool))


class Framing:
    """Where the face lies in the photograph, in shares of its side."""

    def __init__(self, draws: Draws) -> None:
        self.centre = (draws.about(0.5, 0.055), draws.about(0.475, 0.04))  # of the point between the eyes
        self.unit = draws.about(0.315, 0.05)  # of one face unit


class Camera:
    """What the camera does to the light."""

    def __init__(self, draws: Draws) -> None:
        self.exposure = draws.about(1.05, 0.25)
        self.balance: Colour = (draws.about(1.0, 0.07), 1.0, draws.about(1.0, 0.07))
        self.blur = draws.between(0.35, 0.9) if draws.chance(0.3) else 0.0  # pixels
        self.noise = draws.between(0.5, 3.2)  # levels


def _muted(draws: Draws) -> Colour:
    grey = draws.between(0.04, 0.62)
    return grey * draws.about(0.97, 0.4), grey * draws.about(0.97, 0.25), grey * draws.about(0.99, 0.45)
