"""What the parts of one session with a run share."""

from dataclasses import dataclass, field

from orchestrator.errors import OrchestratorError, ServiceGoneError, UnusableServiceError
from orchestrator.experiment.plan import Plan
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.planning import ResolvedPlan
from orchestrator.session.progress import RunProgress
from orchestrator.store.changes import record_failure
from orchestrator.store.journal import Journal
from orchestrator.store.records import Failure
from orchestrator.store.store import Store


@dataclass
class Tally:
    """What this session did beside its observations."""

    craft_calls: int = 0
    classify_calls: int = 0
    unreadable_photos: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class RunContext:
    """A run, the places that its answers are recorded in, and its progress."""

    resolved: ResolvedPlan
    store: Store
    journal: Journal
    folder: RunFolder
    progress: RunProgress
    keep_cloaks: bool
    tally: Tally = field(default_factory=Tally)

    @property
    def plan(self) -> Plan:
        return self.resolved.plan

    async def give_up(self, probe: str, what: str, error: OrchestratorError) -> None:
        """Records a call that failed for good.

        Raises:
            UnusableServiceError: the error, if it is the service that failed; the run then ends.
        """
        if not isinstance(error, ServiceGoneError):
            failure = Failure(probe, what, str(error))
            self.tally.failures.append(failure)
            await self.journal.write(record_failure(failure))
        if isinstance(error, UnusableServiceError):
            raise error
