"""The root of this package's errors."""


class SyntheticFacesError(ValueError):
    """A population or photograph that cannot be; the message names what was expected and what came."""
