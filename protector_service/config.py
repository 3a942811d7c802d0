"""What the protector can be told."""

import re
from collections.abc import Mapping

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from rpc.roles import PROTECTOR
from rpc.settings import ServiceSettings

_ASSIGNMENT = re.compile(r"\s*([a-z0-9._-]+)\.([a-z_]+)=([0-9]{1,9})\s*")


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
    max_bytes_in_flight: int = Field(
        4 * 2**30,
        ge=2**20,
        description="Memory for the photos and cloaks of all calls together, in bytes; further calls are told to come back.",
    )
    method_parameters: str = Field(
        "", description="Parameters of methods, separated by commas, such as one-pixel.pixels=5,one-pixel.generations=75."
    )

    @field_validator("method_parameters")
    @classmethod
    def _are_parameters(cls, text: str) -> str:
        found = [_ASSIGNMENT.fullmatch(each) for each in text.split(",")] if text.strip() else []
        named = [each and each.group(1, 2) for each in found]
        if None in named or len(set(named)) < len(named):
            raise PydanticCustomError(
                "method_parameters", "expected METHOD.PARAMETER=NUMBER, separated by commas, each parameter once"
            )
        return text

    @property
    def parameters_of_methods(self) -> Mapping[tuple[str, str], int]:
        """What is set of methods, by the names of the method and of its parameter."""
        found = map(_ASSIGNMENT.fullmatch, self.method_parameters.split(","))
        return {(each[1], each[2]): int(each[3]) for each in found if each}
