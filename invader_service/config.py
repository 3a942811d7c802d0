"""What the invader can be told."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from invader_service.disclosure import Disclosure
from rpc.roles import INVADER
from rpc.settings import ServiceSettings, UserPath


class InvaderSettings(ServiceSettings):
    """Names faces by the recognizers of a checkpoint folder, and discloses ranked identities only."""

    model_config = SettingsConfigDict(env_prefix=INVADER.environment_prefix)

    batch_rows: int = Field(0, ge=0, le=256, description="Faces that are classified together. 0 suits the device.")
    max_candidates: int = Field(50, ge=1, description="The most candidates that a classification returns.")
    list_identities: bool = Field(True, description="Whether clients may list the label sets.")
    disclosure: Disclosure = Field(
        Disclosure.RANKED,
        description="What leaves of an answer: the top candidate, the candidates ranked, or their probabilities too.",
    )
    query_budget: int = Field(0, ge=0, description="Queries that each client may ask in all; 0 sets no bound.")
    ledger: UserPath | None = Field(None, description="File that counts every client's queries; a budget needs one.")
    rate_limit: float = Field(0, ge=0, description="Queries a second that each client may ask; 0 sets no bound.")
    audit_log: UserPath | None = Field(None, description="File for a line on every query: who, when, image digest, outcome.")
    max_seconds: float = Field(60, gt=0, description="Time that one query may take, waiting included.")

    @model_validator(mode="after")
    def _budgets_are_kept(self) -> Self:
        if self.query_budget and self.ledger is None:
            raise PydanticCustomError("ledger", "--query-budget: expected --ledger FILE beside it, to survive a restart")
        return self
