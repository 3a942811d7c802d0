"""A service as a program. Nothing heavy is imported before it is needed, and whatever ends a start is one line."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn

from command_line.errors import FAILED, INTERRUPTED, OperatorError
from command_line.memory import limit_note, memory_advice
from command_line.output import tolerant_output
from rpc.roles import Role

if TYPE_CHECKING:
    from rpc.settings import ServiceSettings

DISTRIBUTION = "face-deid-bench"
VERSION = "--version"

logger = logging.getLogger(__name__)

Serve = Callable[[Any], Coroutine[Any, Any, None]]  # of the settings


def run_service(role: Role, *, settings: "Callable[[], type[ServiceSettings]]", serve: Callable[[], Serve]) -> None:
    """Does what the command line says: serves, asks for the health of the service that serves here, or says which it is.

    Args:
        role: of the service.
        settings: imports its settings.
        serve: imports what serves by them.
    """
    with tolerant_output(is_result=False):
        try:
            if VERSION in sys.argv[1:]:
                print(f"{role.program} {version(DISTRIBUTION)}")  # noqa: T201
            else:
                _run(role.program, sys.argv[1:], settings, serve)
        except KeyboardInterrupt:  # before it served
            _end(f"{role.program}: interrupted", INTERRUPTED)
        except Exception as error:
            logger.debug("the service failed", exc_info=error)
            _end(f"{role.program}: {_reason(error)}", FAILED)


def _run(
    program: str, arguments: list[str], settings_type: "Callable[[], type[ServiceSettings]]", serve: Callable[[], Serve]
) -> None:
    from rpc.healthcheck import HEALTHCHECK, exit_with_health
    from rpc.logs import configure_logging
    from rpc.settings import log_injected_variables, read_settings

    if arguments[:1] == [HEALTHCHECK]:
        exit_with_health(read_settings(settings_type(), program=f"{program} {HEALTHCHECK}", arguments=arguments[1:]))
    settings = read_settings(settings_type(), program=program, arguments=arguments)
    configure_logging(settings.log_level)
    log_injected_variables(settings)
    if note := limit_note():  # what some libraries do where memory runs out leaves no time to say it
        logger.warning("memory may not suffice", extra={"reason": note})
    asyncio.run(serve()(settings))


def _end(reason: str, status: int) -> NoReturn:
    print(reason, file=sys.stderr)  # noqa: T201
    sys.exit(status)


def _reason(error: Exception) -> str:
    """What ended a start, in one line."""
    if advice := memory_advice(error):
        return advice
    if isinstance(error, OperatorError):
        return str(error)
    first_line = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, ModuleNotFoundError):
        return f"{first_line}; pip install '{DISTRIBUTION}[services]' brings what services need"
    return f"{type(error).__name__}: {first_line} (--log-level debug says where)"
