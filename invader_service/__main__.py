"""`invader-service`: serves, or with `healthcheck` asks the one that serves on this machine whether it is healthy."""

from rpc.program import run_service
from rpc.roles import INVADER


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    run_service(INVADER, settings="invader_service.config:InvaderSettings", serve="invader_service.serve:serve")


if __name__ == "__main__":
    main()
