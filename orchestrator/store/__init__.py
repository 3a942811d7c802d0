"""The observations of runs, in SQL: SQLite by default, PostgreSQL where several orchestrators share a run."""

from orchestrator.store.changes import (
    Change,
    record_cloak,
    record_failure,
    record_lossless_control,
    record_observations,
    record_quality,
    record_subject,
)
from orchestrator.store.crafting import CraftingSummary
from orchestrator.store.errors import NoStoreError, StoreConflictError, StoreError, StoreUnavailableError
from orchestrator.store.journal import Journal
from orchestrator.store.leases import LEASE_SECONDS
from orchestrator.store.records import (
    REPLACED,
    Failure,
    NamedRun,
    ObservationCounts,
    Subject,
    SubjectStatus,
)
from orchestrator.store.store import Store

__all__ = [
    "LEASE_SECONDS",
    "REPLACED",
    "Change",
    "CraftingSummary",
    "Failure",
    "Journal",
    "NamedRun",
    "NoStoreError",
    "ObservationCounts",
    "Store",
    "StoreConflictError",
    "StoreError",
    "StoreUnavailableError",
    "Subject",
    "SubjectStatus",
    "record_cloak",
    "record_failure",
    "record_lossless_control",
    "record_observations",
    "record_quality",
    "record_subject",
]
