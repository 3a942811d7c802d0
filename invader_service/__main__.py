"""`invader-service`: serves, or with `healthcheck` asks the one that serves on this machine whether it is healthy."""

from typing import TYPE_CHECKING

from rpc.program import Serve, run_service
from rpc.roles import INVADER

if TYPE_CHECKING:
    from invader_service.config import InvaderSettings


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    run_service(INVADER, settings=_settings, serve=_serve)


def _settings() -> "type[InvaderSettings]":
    from invader_service.config import InvaderSettings

    return InvaderSettings


def _serve() -> Serve:
    from invader_service.serve import serve  # only now, because torch comes with it

    return serve


if __name__ == "__main__":
    main()
