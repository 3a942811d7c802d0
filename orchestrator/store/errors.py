"""What can go wrong with a store."""

from orchestrator.errors import OrchestratorError


class StoreError(OrchestratorError):
    """The store cannot be read or written."""


class StoreUnavailableError(StoreError):
    """The server or the disk fails, whatever is read or written; it may be back later."""


class NoStoreError(StoreError):
    """There is no store where one was to be read."""


class StoreConflictError(StoreError):
    """Something else is recorded than what was to be recorded; what was there first stays."""
