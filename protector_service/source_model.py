"""A recognizer to craft with, ready to step rows."""

from dataclasses import dataclass

from protector_service.engine import Engine
from recognizers.recognizer import Recognizer


@dataclass(frozen=True)
class SourceModel:
    """A recognizer, the engine that steps rows with it, and the digest of the checkpoint it came from."""

    recognizer: Recognizer
    engine: Engine
    checkpoint_sha256: str
