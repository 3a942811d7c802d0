"""A recognizer to craft with."""

from dataclasses import dataclass

from protector_service.gradients import BatchedGradients
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import Precision


@dataclass(frozen=True)
class SourceModel:
    """The gradients of a recognizer, and what tells its cloaks from those of another set-up."""

    gradients: BatchedGradients
    checkpoint_sha256: str
    precision: Precision
    threads: int  # processor threads that share a batch

    @property
    def recognizer(self) -> Recognizer:
        return self.gradients.recognizer
