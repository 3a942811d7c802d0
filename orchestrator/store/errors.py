"""What can go wrong with a store."""

from orchestrator.errors import OrchestratorError


class StoreError(OrchestratorError):
    """The store cannot be read or written."""


class StoreConflictError(StoreError):
    """Something else is recorded than what was to be recorded; what was there first stays."""
