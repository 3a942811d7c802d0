"""What the protector can be told."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rpc.roles import PROTECTOR
from rpc.settings import ServiceSettings


class ProtectorSettings(ServiceSettings):
    """Crafts cloaks with the recognizers of a checkpoint folder."""

    model_config = SettingsConfigDict(env_prefix=PROTECTOR.environment_prefix)

    batch_rows: int = Field(
        0, ge=0, le=256, description="Places in every batch: part of what makes a cloak repeatable. 0 suits the device."
    )
    fixed_batch: bool = Field(
        True,
        description="Pad batches to one shape, so that what shares a batch cannot change a cloak.",
    )
    max_rows: int = Field(
        1024,
        ge=1,
        description="Cloaks asked for and not yet fetched, all calls together; more are told to come back.",
    )
