"""What a client may ask of the invader, and what is kept of it."""

from dataclasses import dataclass

from invader_service.audit import AuditLog
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from rpc.images.limits import ImageLimits


@dataclass(frozen=True)
class AccessPolicy:
    """What each query is held against; the names are those of the settings."""

    images: ImageLimits
    max_candidates: int
    list_identities: bool
    disclosure: Disclosure
    max_seconds: float  # for one query, from when it is let in to its answer
    ledger: QueryLedger
    rate_limit: RateLimit | None
    audit_log: AuditLog
