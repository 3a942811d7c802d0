"""What the invader can be told."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rpc.settings import ServiceSettings


class InvaderSettings(ServiceSettings):
    """Names faces by the recognizers of a checkpoint folder, and discloses ranked identities only."""

    model_config = SettingsConfigDict(env_prefix="DEID_INVADER_")

    batch_rows: int = Field(0, ge=0, le=256, description="Faces that are classified together. 0 suits the device.")
    most_candidates: int = Field(50, ge=1, description="The most candidates that a classification returns.")
    list_identities: bool = Field(True, description="Whether clients may list the label sets.")
