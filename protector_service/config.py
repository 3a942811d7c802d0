"""What the protector can be told."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rpc.settings import ServiceSettings


class ProtectorSettings(ServiceSettings):
    """Crafts cloaks with the recognizers of a checkpoint folder."""

    model_config = SettingsConfigDict(env_prefix="DEID_PROTECTOR_")

    batch_rows: int = Field(2, ge=1, le=256, description="Rows of every batch: part of what makes a cloak repeatable.")
