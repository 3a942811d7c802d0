"""Child processes that stand in for services: how they are started, what is told of them, and that they are stopped."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError, ServiceGoneError, UnreachableServiceError
from orchestrator.services.children import child_service
from orchestrator.services.recovery import RecoveryGate

REFUSED = json.dumps({"level": "error", "event": "checkpoint refused", "reason": "senet50.pkl: a web page"})
LOADED = json.dumps({"level": "info", "event": "loaded", "reason": "never told"})


StandIn = Callable[..., None]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Writes the module that child processes can run as `stand_in`, from its statements."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(*statements: str) -> None:
        (tmp_path / "stand_in.py").write_text("\n".join(("import signal, sys", *statements, "")))

    return write


WAIT = "signal.sigwait({signal.SIGTERM})"
BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"
LISTEN = "print('listening on 127.0.0.1:4321', flush=True)"


async def test_a_service_is_known_by_the_address_that_it_prints_and_stopped_at_the_end(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    stand_in(BLOCK, LISTEN, WAIT, f"open({str(stopped)!r}, 'w').write('in order')")
    async with child_service("stand_in", arguments=(), log=tmp_path / "log") as service:
        assert service.address == "127.0.0.1:4321"
        assert not stopped.exists()
    assert stopped.read_text() == "in order"


async def test_a_service_is_told_to_take_a_free_port_and_to_stop_with_its_parent(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in(BLOCK, "print(*sys.argv[1:], file=sys.stderr, flush=True)", LISTEN, WAIT)
    async with child_service("stand_in", arguments=("--checkpoints", "weights"), log=tmp_path / "log"):
        pass
    assert (tmp_path / "log").read_text() == "--port 0 --stop-with-stdin true --checkpoints weights\n"


async def test_what_a_service_complained_of_while_it_started_is_told(stand_in: StandIn, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(json.dumps({"level": "error", "event": "of another session", "reason": "old"}) + "\n")
    said = f"print({REFUSED!r}, {LOADED!r}, 'plain text', '[1]', sep='\\n', file=sys.stderr, flush=True)"
    stand_in(BLOCK, said, LISTEN, WAIT)
    async with child_service("stand_in", arguments=(), log=log) as service:
        assert service.errors == ["checkpoint refused: senet50.pkl: a web page"]


def enrolled(done: object, of: object, event: str = "gallery") -> str:
    line = json.dumps({"level": "info", "event": event, "done": done, "of": of})
    return f"print({line!r}, file=sys.stderr, flush=True)"


async def test_how_many_photos_a_service_has_enrolled_is_told_until_it_is_ready(stand_in: StandIn, tmp_path: Path) -> None:
    others = (enrolled("many", 9), enrolled(1, None), enrolled(8, 9, event="done"))
    log = tmp_path / "log"
    all_read = f"import time\nwhile 'impostors' not in open({str(log)!r}).read(): time.sleep(0.01)"  # it has two pipes
    last = enrolled(9, 9), enrolled(1, 2, event="impostors")
    stand_in(BLOCK, enrolled(0, 9), *others, *last, all_read, LISTEN, WAIT)
    told: list[tuple[int, int]] = []
    async with child_service("stand_in", arguments=(), log=log, on_enrolling=lambda *each: told.append(each)):
        pass
    assert told == [(0, 9), (9, 9), (1, 2)]


async def test_a_service_that_stops_enrolling_is_given_up_and_how_far_it_was_is_told(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in("import time", "time.sleep(0.5)", enrolled(7, 9), "signal.pause()")
    with pytest.raises(OrchestratorError, match=r"stand_in was not ready 2 s after it had enrolled 7 of 9 photos: "):
        async with child_service("stand_in", arguments=(), log=tmp_path / "log", start_seconds=2):
            pass


async def test_a_service_that_does_not_start_is_an_error_with_its_last_line(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("print('loading', file=sys.stderr)", "sys.exit('no usable checkpoint in weights')")
    with pytest.raises(OrchestratorError) as failure:
        async with child_service("stand_in", arguments=(), log=tmp_path / "log"):
            pytest.fail("it never started")
    assert str(failure.value) == "stand_in did not start (exit status 1): no usable checkpoint in weights"


async def test_a_service_that_dies_in_silence_is_an_error_that_names_its_log(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("sys.exit(7)")
    with pytest.raises(OrchestratorError) as failure:
        async with child_service("stand_in", arguments=(), log=tmp_path / "log"):
            pytest.fail("it never started")
    assert str(failure.value) == f"stand_in did not start (exit status 7): it said nothing; see {tmp_path / 'log'}"


async def test_a_service_is_stopped_when_the_run_fails(stand_in: StandIn, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    stand_in(BLOCK, LISTEN, WAIT, f"open({str(stopped)!r}, 'w').close()")
    with pytest.raises(OrchestratorError, match="the run failed"):
        async with child_service("stand_in", arguments=(), log=tmp_path / "log"):
            raise OrchestratorError("the run failed")
    assert stopped.exists()


async def test_a_service_that_is_killed_is_known_to_have_ended_and_how_long_before_the_timeout_ends(
    stand_in: StandIn, tmp_path: Path
) -> None:
    async def check() -> None:
        raise UnreachableServiceError("nothing listens there")

    said = "print('loading', 'serving', sep=chr(10), file=sys.stderr, flush=True)"
    stand_in("import os", said, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))", LISTEN, WAIT)
    async with child_service("stand_in", arguments=(), log=tmp_path / "log") as service:
        assert service.ended() is None
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        gate = RecoveryGate("stand-in", check=check, outage_timeout=3600, note=lambda note: None, ended=service.ended)
        with pytest.raises(ServiceGoneError, match=r"^the stand_in that was started ended \(exit status -9\): serving; "):
            await asyncio.wait_for(gate.wait_until_back(), 60)


async def test_a_service_that_died_meanwhile_does_not_keep_the_run_from_ending(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in(LISTEN, "sys.exit(3)")
    async with child_service("stand_in", arguments=(), log=tmp_path / "log") as service:
        assert service.address == "127.0.0.1:4321"


LINES = 10_000


async def test_lines_before_and_after_the_one_that_says_where_a_service_listens_are_logged_and_block_nothing(
    stand_in: StandIn, tmp_path: Path
) -> None:
    log, worked = tmp_path / "log", tmp_path / "worked"
    os.mkfifo(worked)
    stand_in(
        BLOCK,
        f"for number in range({LINES}): print('library: line', number)",
        LISTEN,
        f"for number in range({LINES}): print('onednn_verbose, line', number)",
        "print('without end ' * 100_000)",
        f"open({str(worked)!r}, 'w').write('all')",
        WAIT,
    )
    async with child_service("stand_in", arguments=(), log=log) as service:
        assert service.address == "127.0.0.1:4321"
        assert await asyncio.to_thread(worked.read_text) == "all"
    printed = log.read_text().splitlines()
    assert printed[:LINES] == [f"library: line {number}" for number in range(LINES)]
    assert printed[LINES:-1] == [f"onednn_verbose, line {number}" for number in range(LINES)]


async def test_a_service_that_never_says_where_it_listens_is_given_up(stand_in: StandIn, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stand_in("print('library: loaded', flush=True)", "signal.pause()")
    with pytest.raises(OrchestratorError, match=r"stand_in was not ready 2 s after it was started: library: loaded$"):
        async with child_service("stand_in", arguments=(), log=log, start_seconds=2):
            pass
    assert log.read_text() == "library: loaded\n"


async def test_what_a_service_logged_last_is_why_it_did_not_start_whatever_it_printed(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in("print('library: loaded')", "sys.exit('no usable checkpoint')")
    with pytest.raises(OrchestratorError, match=r"did not start \(exit status 1\): no usable checkpoint$"):
        async with child_service("stand_in", arguments=(), log=tmp_path / "log"):
            pass
    assert "library: loaded" in (tmp_path / "log").read_text()


async def test_a_service_imports_nothing_of_the_folder_that_the_user_is_in(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(BLOCK, "import random", LISTEN, WAIT)
    here = tmp_path / "here"
    here.mkdir()
    (here / "random.py").write_text("raise SystemExit('my own script was executed')\n")
    monkeypatch.chdir(here)
    async with child_service("stand_in", arguments=(), log=tmp_path / "log") as service:
        assert service.address == "127.0.0.1:4321"


async def test_a_service_that_was_killed_is_told_to_have_run_out_of_memory_perhaps(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in("import os", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(OrchestratorError, match=r"exit status -9\): it said nothing; see .*; it was killed, .* memory"):
        async with child_service("stand_in", arguments=(), log=tmp_path / "log"):
            pass


async def test_a_service_that_does_not_start_is_told_although_what_it_started_lives_on(
    stand_in: StandIn, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = "import sys; open(sys.argv[1]).read()"
    stand_in(
        "import os, subprocess",
        f"subprocess.Popen([sys.executable, '-c', {reader!r}, {str(held)!r}])",
        "sys.exit('no usable checkpoint')",
    )
    try:
        with pytest.raises(OrchestratorError, match=r"did not start \(exit status 1\): no usable checkpoint$"):
            async with child_service("stand_in", arguments=(), log=tmp_path / "log", start_seconds=60):
                pass
    finally:
        held.write_text("")  # the helper goes


async def test_a_line_that_cannot_be_read_as_json_blocks_nothing(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in(
        BLOCK, "print('[' * 100_000, file=sys.stderr, flush=True)", "print('more ' * 50_000, file=sys.stderr)", LISTEN, WAIT
    )
    async with child_service("stand_in", arguments=(), log=tmp_path / "log") as service:
        assert service.errors == []
