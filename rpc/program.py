"""A service as a program. Nothing heavy is imported before it is needed, and whatever ends a start is one line."""

import asyncio
import gc
import logging
import sys
from importlib.metadata import version
from pkgutil import resolve_name
from typing import Any, NoReturn

from command_line.errors import FAILED, INTERRUPTED, OperatorError
from command_line.memory import limit_note, memory_advice
from command_line.output import tolerant_output
from rpc.roles import Role

DISTRIBUTION = "face-deid-bench"
VERSION = "--version"

logger = logging.getLogger(__name__)


def run_service(role: Role, *, settings: str, serve: str) -> None:
    """Does what the command line says: serves, asks for the health of the service that serves here, or says which it is.

    Args:
        role: of the service.
        settings: the class of its settings, as `module:name`.
        serve: the coroutine function that serves by them, as `module:name`; torch comes with it.
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


def _run(program: str, arguments: list[str], settings_name: str, serve_name: str) -> None:
    from rpc.healthcheck import HEALTHCHECK, exit_with_health
    from rpc.logs import configure_logging
    from rpc.settings import ServiceSettings, log_injected_variables, read_settings

    settings_type = resolve_name(settings_name)
    if arguments[:1] == [HEALTHCHECK]:
        exit_with_health(read_settings(settings_type, program=f"{program} {HEALTHCHECK}", arguments=arguments[1:]))
    settings: ServiceSettings = read_settings(settings_type, program=program, arguments=arguments)
    configure_logging(settings.log_level)
    log_injected_variables(settings)
    if note := limit_note():  # what some libraries do where memory runs out leaves no time to say it
        logger.warning("memory may not suffice", extra={"reason": note})
    asyncio.run(_imported(serve_name)(settings))


def _imported(name: str) -> Any:
    """What is named, as `module:name`. No garbage is looked for in what comes with it, neither now nor later.

    That would take an eighth of the time until a service serves, and most of the time that it takes to end.
    """
    gc.disable()
    try:
        found = resolve_name(name)
        gc.freeze()
    finally:
        gc.enable()
    return found


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
