"""`protector-service`: serves, or with `healthcheck` asks the one that serves on this machine whether it is healthy."""

from rpc.program import run_service
from rpc.roles import PROTECTOR


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    run_service(PROTECTOR, settings="protector_service.config:ProtectorSettings", serve="protector_service.serve:serve")


if __name__ == "__main__":
    main()
