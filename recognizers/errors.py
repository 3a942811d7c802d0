"""What can go wrong with recognizers and their files."""


class RecognizerError(Exception):
    """Root of this package's errors. The message is meant for the person who runs the program."""


class CheckpointError(RecognizerError):
    """A checkpoint file cannot be used; the message says why and, where there is one, the way out."""


class LabelSetError(RecognizerError):
    """A labels file cannot be used, or does not fit its checkpoint."""


class UnknownIdentityError(RecognizerError):
    """An identity is not in a label set."""
