"""`protector-service`: serves, or with `healthcheck` asks the one that serves on this machine whether it is healthy."""

import logging

from rpc.program import Serve, SettingsType, run_service

logger = logging.getLogger(__name__)

PROGRAM = "protector-service"


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    run_service(PROGRAM, settings=_settings, serve=_serve, explain=_explain)


def _settings() -> SettingsType:
    from protector_service.config import ProtectorSettings

    return ProtectorSettings


def _serve() -> Serve:
    from command_line.memory import limit_note

    if note := limit_note():  # what some libraries do where memory runs out leaves no time to say it
        logger.warning("memory may not suffice", extra={"reason": note})
    from protector_service.serve import serve  # only now, because torch comes with it

    return serve


def _explain(error: BaseException) -> str | None:
    from command_line.memory import memory_advice
    from recognizers.errors import RecognizerError

    if advice := memory_advice(error):
        return advice
    from rpc.errors import DeidRpcError  # only now, because gRPC comes with it

    return str(error) if isinstance(error, RecognizerError | DeidRpcError) else None


if __name__ == "__main__":
    main()
