"""What `make` says on a machine that is not ready."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

OLD_PYTHON = """#!/bin/sh
case "$1" in
  --version) echo "Python 3.9.2" ;;
  -c) exit 1 ;;
  *) echo "$@" >> "$0.asked" ;;
esac
"""


def test_an_old_python_is_told_in_one_line_before_anything_is_installed(tmp_path: Path) -> None:
    python, environment = tmp_path / "python3", tmp_path / "venv"
    python.write_text(OLD_PYTHON)
    python.chmod(0o755)
    command = ["make", "--no-print-directory", "setup", f"PYTHON={python}", f"VENV={environment}"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert finished.returncode != 0
    (line,) = finished.stdout.splitlines()
    assert line == f"Python 3.11 or newer is needed; '{python}' is Python 3.9.2. Try: make PYTHON=python3.12 setup"
    assert not environment.exists()
    assert not python.with_suffix(".asked").exists()


def test_a_platform_without_the_oracles_is_told_and_tested_all_the_same(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    (tmp_path / ".ready").touch()
    command = ["make", "--no-print-directory", "oracles", f"VENV={tmp_path}"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert "requirements/oracles.lock CANNOT BE INSTALLED HERE: the tests that need it will be skipped" in finished.stderr
    assert not (tmp_path / ".oracles").exists()
