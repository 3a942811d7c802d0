"""Where output goes."""

from rich.console import Console

PLAIN_WIDTH = 160  # columns of output that goes to a file


def console() -> Console:
    """The terminal, or a file of fixed width."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PLAIN_WIDTH)
