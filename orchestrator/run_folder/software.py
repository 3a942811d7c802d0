"""What a run is made with, for its manifest."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("face-deid-bench", "grpcio", "numpy", "pillow", "protobuf", "sqlalchemy")


def software() -> dict[str, str]:
    """Versions of what this process runs on, and the commit where the project is a checkout."""
    versions = {package: version(package) for package in PACKAGES}
    return versions | {"python": platform.python_version(), "machine": platform.platform(), "commit": _commit()}


def _commit() -> str:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
