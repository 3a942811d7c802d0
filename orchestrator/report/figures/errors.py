"""What can go wrong with a figure."""

from orchestrator.errors import OrchestratorError


class FigureError(OrchestratorError):
    """A figure cannot be drawn or written; the message says what was expected and what came."""
