"""Configuration that both services share: command line over environment over default."""

import os
import sys
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from rpc.images import ImageLimits

PILLOW_LIMIT = 89_478_485  # pixels: Image.MAX_IMAGE_PIXELS


class ServiceSettings(BaseSettings):
    """What every service can be told."""

    model_config = SettingsConfigDict(cli_kebab_case=True, cli_hide_none_type=True, cli_avoid_json=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    checkpoints: Path | None = Field(
        None, description="Folder of checkpoint files, with their labels file; the embedded recognizers where none is given."
    )
    device: str = Field("auto", description="Where networks run: auto, cpu, cuda or cuda:N.")
    lanes: int = Field(0, ge=0, le=64, description="Requests that are worked on at a time; 0 takes 2 on a CPU, 1 on a GPU.")
    threads: int = Field(0, ge=0, description="Processor threads for the networks of a lane; 0 shares the cores out.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="What networks compute in; auto is bfloat16 where the processor multiplies it natively."
    )
    most_waiting: int = Field(16, ge=0, description="Photos that may wait for a lane; more are told to come back.")
    most_bytes: int = Field(ImageLimits.most_bytes, ge=1, description="Largest image taken, in bytes.")
    most_pixels: int = Field(ImageLimits.most_pixels, ge=1, le=PILLOW_LIMIT, description="Largest image taken, in pixels.")
    drain_seconds: float = Field(10, ge=0, description="Time that running calls get to finish when the service stops.")
    stop_with_stdin: bool = Field(
        False, description="Stop when standard input closes: a parent that dies takes the service with it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @property
    def image_limits(self) -> ImageLimits:
        """The limits on images from outside."""
        return ImageLimits(most_bytes=self.most_bytes, most_pixels=self.most_pixels)


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(settings: type[Settings], *, program: str, arguments: list[str]) -> Settings:
    """Reads a service's settings; a bad or unknown one ends the process with its name and exit status 2."""
    prefix = settings.model_config.get("env_prefix", "")
    known = {f"{prefix}{name}".upper() for name in settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(prefix) and name.upper() not in known)
    if unknown:
        _stop(f"{program}: unknown environment variable {unknown[0]}; known: {', '.join(sorted(known))}")
    try:
        return settings(_cli_parse_args=arguments, _cli_prog_name=program)
    except SettingsError as error:
        _stop(f"{program}: {error}")
    except ValidationError as error:
        _stop(*(f"{program}: {_fault(fault)}" for fault in error.errors()))


def _fault(fault: ErrorDetails) -> str:
    flag = "--" + "-".join(map(str, fault["loc"])).replace("_", "-")
    if fault["type"] == "missing":  # pydantic's input is then all the other settings
        return f"{flag}: required, but not given"
    return f"{flag}: {fault['msg']}, got {fault['input']!r}"


def _stop(*reasons: str) -> NoReturn:
    print(*reasons, sep="\n", file=sys.stderr)  # noqa: T201
    sys.exit(2)
