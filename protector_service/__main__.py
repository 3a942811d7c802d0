"""`protector-service`: serves, or with `healthcheck` asks the one that serves on this machine whether it is healthy."""

import sys

from protector_service.config import ProtectorSettings
from rpc.healthcheck import HEALTHCHECK, exit_with_health
from rpc.settings import read_settings

PROGRAM = "protector-service"


def main() -> None:
    """Runs the service; a failed start is one line and exit status 2."""
    if sys.argv[1:2] == [HEALTHCHECK]:
        exit_with_health(read_settings(ProtectorSettings, program=f"{PROGRAM} {HEALTHCHECK}", arguments=sys.argv[2:]))
    settings = read_settings(ProtectorSettings, program=PROGRAM, arguments=sys.argv[1:])
    from protector_service.serve import run  # only now, because torch comes with it

    run(settings, program=PROGRAM)


if __name__ == "__main__":
    main()
