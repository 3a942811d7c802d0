"""A recognizer to craft with, or several as an ensemble."""

from dataclasses import dataclass

from protector_service.batched_model import BatchedModel
from recognizers.galleries.matchers import Matcher
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import Precision


@dataclass(frozen=True)
class SourceModel:
    """A recognizer in batches, and what tells its cloaks from those of another set-up."""

    batched: BatchedModel
    checkpoint_sha256: str
    precision: Precision
    threads: int  # processor threads that share a batch
    matcher: Matcher | None = None  # None: a classifier

    @property
    def recognizer(self) -> Recognizer:
        return self.batched.recognizer
