"""Which tests run where."""

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import hypothesis  # noqa: F401 - which looks for who holds the random numbers of others, and overlooks what is frozen
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.scheduler.protocol import Scheduling

from tests.support.blank_figures import write_blank_figures
from tests.support.figure import FIGURE, Tell
from tests.support.postgres import Cluster, running_cluster
from tests.support.selection import BASE, leave_out_uncovered

# Before torch is imported. Threads that wait by spinning take the cores of the services that tests start, and there are more
# processes than cores, so that a second thread of each only waits for its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
gc.disable()  # nothing that is imported or collected is garbage

REAL = "DEID_REAL"
DEPLOYMENT = "DEID_DEPLOYMENT"
DEPLOYED = "tests/deployment/"

# What switches a marker's tests on, and what is said where it does not.
SWITCHES = {
    "real": (REAL, "does not name a folder of real photographs and full-size checkpoints (CONTRIBUTING.md)"),
    "deployment": (DEPLOYMENT, "is not set: NOTHING OF THE DOCKER DEPLOYMENT WAS TESTED (CONTRIBUTING.md)"),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out_uncovered(config, items, os.environ.get(BASE, ""))
    for marker, (variable, absence) in SWITCHES.items():
        if not os.environ.get(variable):
            skip = pytest.mark.skip(reason=f"{variable} {absence}")
            for item in items:
                if marker in item.keywords:
                    item.add_marker(skip)
    items.sort(key=lambda item: "deployment" not in item.keywords)  # they take longest, and mostly wait


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()  # nor will it be: no collection looks at it again
    gc.enable()


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A process takes one file of tests after another, whose fixtures are made once; of the deployment there is one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return DEPLOYED if file.startswith(DEPLOYED) else file


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are cores: many tests wait for timeouts, leases, containers, and services that start."""
    return (os.cpu_count() or 1) + 2


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Called where tests run in several processes."""
    return FilesTogether(config, log)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Keeps a figure that a test measured for the end of the run, whether it passes or not."""
    return partial(record_property, FIGURE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    figures = [(report.nodeid, said) for report in reports for key, said in report.user_properties if key == FIGURE]
    if figures:
        terminalreporter.section("figures")
    for nodeid, said in figures:
        terminalreporter.line(f"{nodeid}: {said}")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real photographs (faces/) and full-size checkpoints (checkpoints/)."""
    return Path(os.environ[REAL])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server; one for all tests, so each takes a database of its own."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, and written as blank files: encoding them takes most of a report's time."""
    write_blank_figures(monkeypatch)
