"""What makes a moment: the parameters that differ between photographs of one person."""

from dataclasses import dataclass

from synthetic_faces.draws import Draws
from synthetic_faces.fields import Colour


@dataclass(frozen=True)
class Pose:
    """How the head is turned: tangents of half the angles (0.1 is about 11 degrees)."""

    yaw: float  # to the picture's right
    pitch: float  # upwards
    roll: float


@dataclass(frozen=True)
class Expression:
    """What the face does."""

    smile: float  # -0.4 .. 1
    mouth_open: float  # 0..1
    eyes_open: float  # share of the eyes' opening
    brows_raised: float  # face units
    gaze: tuple[float, float]  # of the iris, in half widths of an eye


@dataclass(frozen=True)
class Light:
    """A key light from one side, and light from all around."""

    direction: tuple[float, float, float]  # to the light: x right, y down, z to the camera; length 1
    key: Colour
    ambient: Colour


@dataclass(frozen=True)
class Framing:
    """Where the face lies in the photograph, in shares of its side."""

    centre: tuple[float, float]  # of the point between the eyes
    unit: float  # of one face unit


@dataclass(frozen=True)
class Camera:
    """What the camera does to the light."""

    exposure: float
    balance: Colour
    blur: float  # pixels
    noise: float  # levels


@dataclass(frozen=True)
class Setting:
    """A moment."""

    pose: Pose
    expression: Expression
    light: Light
    framing: Framing
    camera: Camera
    backdrop: tuple[Colour, Colour]
    clothes: Colour
    collar: float  # how low it is
    windblown: float  # shifts the strands


def draw_setting(draws: Draws) -> Setting:
    """A moment, by chance."""
    smiling = draws.chance(0.5)
    return Setting(
        pose=Pose(yaw=draws.about(0.0, 0.21), pitch=draws.about(0.0, 0.07), roll=draws.about(0.0, 0.085)),
        expression=Expression(
            smile=draws.between(0.3, 1.0) if smiling else draws.about(0.0, 0.35),
            mouth_open=draws.between(0.15, 0.7) if draws.chance(0.42 if smiling else 0.12) else 0.0,
            eyes_open=draws.about(0.98, 0.2),
            brows_raised=draws.about(0.0, 0.035),
            gaze=(draws.about(0.0, 0.2), draws.about(0.0, 0.09)),
        ),
        light=_light(draws),
        framing=Framing(
            centre=(draws.about(0.5, 0.055), draws.about(0.475, 0.04)),
            unit=draws.about(0.315, 0.05),
        ),
        camera=_camera(draws),
        backdrop=(_muted(draws), _muted(draws)),
        clothes=_muted(draws),
        collar=draws.between(0.0, 0.4),
        windblown=draws.between(-1.0, 1.0),
    )


def _light(draws: Draws) -> Light:
    x, y = draws.about(0.0, 0.85), draws.about(-0.35, 0.4)
    length = (x * x + y * y + 1.0) ** 0.5
    warmth = draws.about(0.0, 0.13)
    key = draws.between(0.55, 0.95)
    ambient = draws.between(0.28, 0.55)
    cool = draws.about(0.0, 0.07)
    return Light(
        direction=(x / length, y / length, 1.0 / length),
        key=(key * (1.0 + warmth), key, key * (1.0 - warmth)),
        ambient=(ambient * (1.0 - cool), ambient, ambient * (1.0 + cool)),
    )


def _camera(draws: Draws) -> Camera:
    return Camera(
        exposure=draws.about(1.05, 0.25),
        balance=(draws.about(1.0, 0.07), 1.0, draws.about(1.0, 0.07)),
        blur=draws.between(0.35, 0.9) if draws.chance(0.3) else 0.0,
        noise=draws.between(0.5, 3.2),
    )


def _muted(draws: Draws) -> Colour:
    grey = draws.between(0.04, 0.62)
    return grey * draws.about(0.97, 0.4), grey * draws.about(0.97, 0.25), grey * draws.about(0.99, 0.45)
