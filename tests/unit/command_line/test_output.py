"""Lines that stand alone, whatever was printed before them."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("before", "printed"), [("", "ready\n"), ("loading ...", "loading ...\nready\n"), ("a\n", "a\nready\n")]
)
def test_a_line_stands_alone_whatever_was_printed_before_it(before: str, printed: str) -> None:
    program = f"""
from command_line.output import print_line, tolerant_output
with tolerant_output():
    print({before!r}, end="")
    print_line("ready")
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == printed
