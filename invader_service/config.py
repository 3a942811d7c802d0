"""What the invader can be told."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from invader_service.disclosure import Disclosure
from rpc.roles import INVADER
from rpc.settings import ServiceSettings, UserPath

DATABASES = ("postgresql+psycopg://", "postgresql://")  # how the URL of a ledger begins
GIVEN = "given"  # the name of a threshold that is not calibrated, or what it begins with
_GIVEN = re.compile(r"\s*([a-z0-9._-]+):(?:([a-z0-9._-]{1,40})=)?(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*", flags=re.ASCII)


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
    ledger: str | None = Field(
        None,
        description="File that counts every client's queries, or the database where replicas count them together: "
        "postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE. A budget needs one.",
    )
    rate_limit: float = Field(
        0, ge=0, description="Queries a second that each client may ask; 0 sets no bound. With a database, of all replicas."
    )
    audit_log: UserPath | None = Field(None, description="File for a line on every query: who, when, image digest, outcome.")
    impostors: UserPath | None = Field(
        None, description="Folder of people who are not enrolled, DIR/IDENTITY/PHOTO, on whom thresholds are calibrated."
    )
    thresholds: str = Field(
        "", description="Thresholds of matchers, separated by commas, by the rate they keep to: fpir:0.01,fmr:0.001."
    )
    given_thresholds: str = Field(
        "",
        description="Thresholds of matchers that are known, separated by commas: dlib:0.6, or of several of one matcher "
        "dlib:strict=0.5; a similarity or a distance, as the network compares. By default its usual one, which dlib's has.",
    )
    max_seconds: float = Field(60, gt=0, description="Time that one query may take, waiting included.")

    @field_validator("given_thresholds")
    @classmethod
    def _are_thresholds(cls, text: str) -> str:
        found = [_GIVEN.fullmatch(each) for each in text.split(",")] if text.strip() else []
        names = [each and each.group(1, 2) for each in found]
        if None in names or len(set(names)) < len(names):
            raise PydanticCustomError(
                "thresholds",
                "expected MATCHER:NUMBER or MATCHER:LABEL=NUMBER, separated by commas, each matcher once, or once a label",
            )
        return text

    @property
    def known_thresholds(self) -> Mapping[str, Mapping[str, float]]:
        """The scores of the thresholds that are given, by matcher and the threshold's name."""
        found: dict[str, dict[str, float]] = {}
        for each in map(_GIVEN.fullmatch, self.given_thresholds.split(",")):
            if each:
                matcher, label, score = each.groups()
                found.setdefault(matcher, {})[f"{GIVEN}:{label}" if label else GIVEN] = float(score)
        return found

    @property
    def threshold_targets(self) -> Sequence[str]:
        """The rates that thresholds are calibrated for."""
        return [each.strip() for each in self.thresholds.split(",") if each.strip()]

    @model_validator(mode="after")
    def _thresholds_have_impostors(self) -> Self:
        if bool(self.threshold_targets) != (self.impostors is not None):
            raise PydanticCustomError("impostors", "--thresholds, --impostors: expected both or none")
        if (self.impostors is not None or self.given_thresholds.strip()) and self.gallery is None:
            raise PydanticCustomError("gallery", "--impostors, --given-thresholds: expected --gallery DIR beside them")
        return self

    @property
    def ledger_database(self) -> str | None:
        """The URL of the database that replicas share, if that is the ledger."""
        return self.ledger if self.ledger is not None and "://" in self.ledger else None

    @property
    def ledger_file(self) -> Path | None:
        """The file, if that is the ledger."""
        return None if self.ledger is None or "://" in self.ledger else Path(self.ledger).expanduser()

    @model_validator(mode="after")
    def _ledger_is_one(self) -> Self:
        if self.ledger_database is not None and not self.ledger_database.startswith(DATABASES):
            # Without what came: it may hold a password.
            raise PydanticCustomError(
                "ledger",
                "--ledger: expected a file, or postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, got another URL",
            )
        return self

    @model_validator(mode="after")
    def _budgets_are_kept(self) -> Self:
        if self.query_budget and self.ledger is None:
            raise PydanticCustomError(
                "ledger", "--query-budget: expected --ledger FILE or URL beside it, to survive a restart"
            )
        return self
