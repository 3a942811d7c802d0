"""How far a run is: a bar on a terminal, a line for every subject elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.status import Status

STARTING = "starting the services"


def show_photos(status: Status, doing: str, done: int, of: int) -> None:
    """Shows how many photos of a gallery are written, or enrolled by a service that is started."""
    status.update(f"{STARTING}: {doing} {done} of {of} photos")


class RunProgress:
    """Shows a run's observations and the time left."""

    def __init__(self, console: Console, *, subjects: int, observations_per_subject: int, further: int = 0) -> None:
        """`further`: observations beside those of subjects."""
        self._console = console
        self._further = further
        self._subjects = subjects
        self._per_subject = observations_per_subject
        self._done = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("observations"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task(self._description(), total=self._total())

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def observed(self, count: int) -> None:
        """So many further observations are recorded."""
        self._bar.advance(self._task, count)

    def stands_at(self, *, subjects: int, observations: int, wanted: int) -> None:
        """How far the run is as a whole, whoever works on it, and how many subjects it goes on to."""
        self._done, self._subjects = subjects, wanted
        self._bar.update(self._task, description=self._description(), completed=observations, total=self._total())

    def subject_done(self, identity: str) -> None:
        """All that can be observed about a subject is."""
        self._done += 1
        self._bar.update(self._task, description=self._description())
        if not self._console.is_terminal:
            task = self._bar.tasks[0]
            remaining = task.time_remaining
            left = "" if remaining is None else f", about {duration(remaining)} left"
            self._console.print(f"{self._description()}: {task.completed:.0f} of {task.total:.0f} observations{left}")

    def note(self, message: str) -> None:
        """Something that the user should know."""
        self._console.print(message, style="yellow", markup=False, highlight=False)

    def _total(self) -> int:
        return self._subjects * self._per_subject + self._further

    def _description(self) -> str:
        return f"subject {self._done} of {self._subjects}"


def duration(seconds: float) -> str:
    """A time as people say it: in minutes from two on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
