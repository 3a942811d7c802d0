"""`protector-service`: serves, or with `healthcheck` asks the one that serves on this machine whether it is healthy."""

from typing import TYPE_CHECKING

from rpc.program import Serve, run_service
from rpc.roles import PROTECTOR

if TYPE_CHECKING:
    from protector_service.config import ProtectorSettings


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    run_service(PROTECTOR, settings=_settings, serve=_serve)


def _settings() -> "type[ProtectorSettings]":
    from protector_service.config import ProtectorSettings

    return ProtectorSettings


def _serve() -> Serve:
    from protector_service.serve import serve  # only now, because torch comes with it

    return serve


if __name__ == "__main__":
    main()
