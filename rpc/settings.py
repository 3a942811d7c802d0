"""Configuration that both services share: command line over environment over default."""

import logging
import os
import re
import sys
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from rpc.addresses import AddressError, bare_host
from rpc.images.limits import ImageLimits
from rpc.tls import TlsFiles, TlsMaterial, read_tls

logger = logging.getLogger(__name__)

UserPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]  # noqa: PTH111
"""As people type it: `~` is their home, also where the shell did not see it; that of an unknown user stays as it is."""

# What Kubernetes tells every container of each Service, by variables that begin with the Service's name: those of one called
# deid-invader, or deid-invader-metrics, begin as the invader's settings do. Most are known by their names; a port, which
# may be a setting too, by its value (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_INJECTED = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", flags=re.ASCII
)
_INJECTED_PORT, _PORT_VALUE = re.compile(r"(\w+_)?PORT", flags=re.ASCII), re.compile(r"(tcp|udp|sctp)://.+")

PILLOW_LIMIT = 89_478_485  # pixels: Image.MAX_IMAGE_PIXELS


class ServiceSettings(BaseSettings):
    """What every service can be told."""

    model_config = SettingsConfigDict(cli_kebab_case=True, cli_hide_none_type=True, cli_avoid_json=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Host name or address to listen on, such as ::1.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    tls_certificate: UserPath | None = Field(None, description="PEM certificate of this service: with it, mutual TLS.")
    tls_key: UserPath | None = Field(None, description="PEM private key of that certificate.")
    tls_authority: UserPath | None = Field(None, description="PEM certificate of the authority whose clients are let in.")
    health_port: int | None = Field(
        None, ge=0, le=65535, description="Loopback port that answers health checks in plain text; none where not given."
    )
    metrics_host: str = Field("127.0.0.1", description="Address to serve Prometheus metrics on.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port to serve Prometheus metrics on; none where not given."
    )
    checkpoints: UserPath | None = Field(
        None, description="Folder of checkpoint files, with their labels file; the embedded recognizers where none is given."
    )
    gallery: UserPath | None = Field(
        None,
        description="Folder of enrolled people, DIR/IDENTITY/PHOTO: with it, embedding networks are offered as matchers.",
    )
    template: Literal["auto", "mean", "nearest"] = Field(
        "auto",
        description="Of an enrolled identity: the mean of its photos, or the nearest of them; auto is mean by cosine "
        "similarity and nearest by Euclidean distance.",
    )
    matchers: str = Field(
        "",
        description="Classifiers, separated by commas, or all, that are offered as matchers too, as NAME-features.",
    )
    embedding_cache: str = Field(
        "auto",
        description="Folder for the embeddings of enrolled photos, readable by its owner alone; auto is in the user's "
        "caches, off keeps none.",
    )
    client_galleries: int = Field(
        256, ge=0, description="Galleries that each client may have enrolled at a time; 0 enrols nothing from clients."
    )
    gallery_identities: int = Field(
        100_000, ge=1, description="Identities of one client's gallery, those of its base among them."
    )
    gallery_pictures: int = Field(
        10_000, ge=1, description="Different pictures of each client that are held at a time, in all of its galleries."
    )
    gallery_seconds: int = Field(
        3600, ge=1, le=2**31 - 1, description="Longest time that a client's gallery is kept after it was last used."
    )
    device: str = Field("auto", description="Where networks run: auto, cpu, cuda or cuda:N.")
    workers: int = Field(
        0, ge=0, le=64, description="Requests that are worked on at a time; 0 takes 2 on a CPU, 1 on a GPU."
    )
    threads: int = Field(0, ge=0, description="Processor threads for the networks of a worker; 0 shares the cores out.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="What networks compute in; auto is bfloat16 where the processor multiplies it natively."
    )
    max_waiting: int = Field(16, ge=0, description="Photos that may wait for a worker; more are told to come back.")
    max_bytes: int = Field(ImageLimits.max_bytes, ge=1, description="Largest image taken, in bytes.")
    max_pixels: int = Field(ImageLimits.max_pixels, ge=1, le=PILLOW_LIMIT, description="Largest image taken, in pixels.")
    drain_seconds: float = Field(10, ge=0, description="Time that running calls get to finish when the service stops.")
    max_connection_age: float = Field(
        0,
        ge=0,
        le=86_400,
        description="Seconds after which clients are to connect anew, so that they meet replicas that came meanwhile; "
        "running calls end in their own time. 0 for never.",
    )
    stop_with_stdin: bool = Field(
        False, description="Stop when standard input closes: a parent that dies takes the service with it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @field_validator("host", "metrics_host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        try:
            return bare_host(host)
        except AddressError as error:
            raise PydanticCustomError("host", "expected a host name or an address, without a port") from error

    @model_validator(mode="after")
    def _gallery_beside_matchers(self) -> Self:
        if self.matchers.strip() and self.gallery is None:
            raise PydanticCustomError(
                "gallery", "--matchers: expected --gallery DIR beside it, the people they compare with"
            )
        return self

    @property
    def matcher_names(self) -> tuple[str, ...]:
        """The classifiers that are offered as matchers too."""
        return tuple(dict.fromkeys(name.strip() for name in self.matchers.split(",") if name.strip()))

    @model_validator(mode="after")
    def _all_of_tls_or_nothing(self) -> Self:
        given = [self.tls_certificate, self.tls_key, self.tls_authority]
        if any(given) and not all(given):
            raise PydanticCustomError("tls", "--tls-certificate, --tls-key and --tls-authority: expected all three or none")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the command line and the environment, without what Kubernetes injected."""
        assert isinstance(env_settings, EnvSettingsSource)
        injected = {name.lower() for name in cls.injected_variables()}
        env_settings.env_vars = {name: value for name, value in env_settings.env_vars.items() if name not in injected}
        return init_settings, env_settings

    @classmethod
    def injected_variables(cls) -> list[str]:
        """Variables of the environment that would be settings, had Kubernetes not injected them."""
        prefix = cls.model_config.get("env_prefix", "")
        names = {name: name.removeprefix(prefix) for name in os.environ if name.startswith(prefix)}
        return sorted(
            name
            for name, setting in names.items()
            if _INJECTED.fullmatch(setting)
            or (_INJECTED_PORT.fullmatch(setting) and _PORT_VALUE.fullmatch(os.environ[name]))
        )

    @property
    def tls(self) -> TlsMaterial | None:
        """The certificate, key and authority; None for plain text.

        Raises:
            TlsError: see `rpc.tls.read_tls`.
        """
        if self.tls_certificate is None or self.tls_key is None or self.tls_authority is None:
            return None
        return read_tls(TlsFiles(self.tls_certificate, self.tls_key, self.tls_authority))

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(max_bytes=self.max_bytes, max_pixels=self.max_pixels)


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(settings: type[Settings], *, program: str, arguments: list[str]) -> Settings:
    """Reads a service's settings; a bad or unknown one ends the process with its name and exit status 2."""
    prefix = settings.model_config.get("env_prefix", "")
    known = {f"{prefix}{name}".upper() for name in settings.model_fields}
    others = known.union(settings.injected_variables())
    unknown = sorted(name for name in os.environ if name.upper().startswith(prefix) and name.upper() not in others)
    if unknown:
        _stop(*(f"{program}: unknown environment variable {name}; {_way_out(name, prefix, known)}" for name in unknown))
    try:
        return settings(_cli_parse_args=arguments, _cli_prog_name=program)
    except SettingsError as error:
        _stop(f"{program}: {error}")
    except ValidationError as error:
        _stop(*(f"{program}: {_fault(fault)}" for fault in error.errors()))


def _way_out(name: str, prefix: str, known: Collection[str]) -> str:
    """The setting that may be meant, or all there are; what all begin with makes none of them alike."""
    near = get_close_matches(name.upper().removeprefix(prefix), [each.removeprefix(prefix) for each in known], n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(sorted(known))}"


def log_injected_variables(settings: ServiceSettings) -> None:
    """Says which variables of the environment are not taken for settings."""
    if injected := settings.injected_variables():
        logger.info("ignored what Kubernetes injects", extra={"variables": ", ".join(injected)})


def _fault(fault: ErrorDetails) -> str:
    if not fault["loc"]:  # settings that do not go together; the message names them
        return fault["msg"]
    flag = "--" + "-".join(map(str, fault["loc"])).replace("_", "-")
    if fault["type"] == "missing":  # pydantic's input is then all the other settings
        return f"{flag}: required, but not given"
    return f"{flag}: {fault['msg']}, got {fault['input']!r}"


def _stop(*reasons: str) -> NoReturn:
    print(*reasons, sep="\n", file=sys.stderr)  # noqa: T201
    sys.exit(2)
