"""The root of this package's errors."""

from command_line.errors import OperatorError


class SyntheticFacesError(OperatorError, ValueError):
    """A population or photograph that cannot be; the message names what was expected and what came."""
