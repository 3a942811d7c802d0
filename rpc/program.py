"""A service as a program. Nothing heavy is imported before it is needed, and whatever ends a start is one line."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any, NoReturn

from command_line.output import tolerant_output

DISTRIBUTION = "face-deid-bench"
VERSION = "--version"
FAILED, INTERRUPTED = 2, 130  # exit statuses

logger = logging.getLogger(__name__)


SettingsType = type[Any]  # of `rpc.settings.ServiceSettings`, which is not imported yet
Serve = Callable[..., Coroutine[Any, Any, None]]  # of the settings and, by keyword, the `program`'s name


def run_service(
    program: str,
    *,
    settings: Callable[[], SettingsType],
    serve: Callable[[], Serve],
    explain: Callable[[BaseException], str | None],
) -> None:
    """Does what the command line says: serves, asks for the health of the service that serves here, or says which it is.

    Args:
        program: its name.
        settings: imports its settings.
        serve: imports what serves by them.
        explain: what to tell of an error that ended it; None of an error that nobody foresaw.
    """
    with tolerant_output(is_result=False):
        try:
            if VERSION in sys.argv[1:]:
                print(f"{program} {version(DISTRIBUTION)}")  # noqa: T201
            else:
                _run(program, sys.argv[1:], settings, serve)
        except KeyboardInterrupt:  # before it served
            _end(f"{program}: interrupted", INTERRUPTED)
        except Exception as error:
            logger.debug("the service failed", exc_info=error)
            _end(f"{program}: {explain(error) or _unforeseen(error)}", FAILED)


def _run(program: str, arguments: list[str], settings_type: Callable[[], SettingsType], serve: Callable[[], Serve]) -> None:
    from rpc.healthcheck import HEALTHCHECK, exit_with_health
    from rpc.logs import configure_logging
    from rpc.settings import log_injected_variables, read_settings

    if arguments[:1] == [HEALTHCHECK]:
        exit_with_health(read_settings(settings_type(), program=f"{program} {HEALTHCHECK}", arguments=arguments[1:]))
    settings = read_settings(settings_type(), program=program, arguments=arguments)
    configure_logging(settings.log_level)
    log_injected_variables(settings)
    asyncio.run(serve()(settings, program=program))


def _end(reason: str, status: int) -> NoReturn:
    print(reason, file=sys.stderr)  # noqa: T201
    sys.exit(status)


def _unforeseen(error: Exception) -> str:
    """An error nobody foresaw, in one line."""
    first_line = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, ModuleNotFoundError):
        return f"{first_line}; pip install '{DISTRIBUTION}[services]' brings what services need"
    return f"{type(error).__name__}: {first_line} (--log-level debug says where)"
