"""The options of a command as one record: each field has its type, and the option of the command line that fills it."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import click

from command_line.options import PathOption
from orchestrator.errors import InputError
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.experiment.grid import ENSEMBLE
from orchestrator.experiment.verification import COPIED
from rpc.tls import TlsError, TlsFiles, TlsMaterial, read_tls

ADDRESSES = (
    "host:port; or its replicas: host:port,host:port, or @FILE with one a line, which is read again when it changes, or "
    "dns:///host:port for all that the name stands for."
)
TLS_NAME = "Name that its certificate is for.  [default: its host]"

Record = TypeVar("Record")


def option(flag: str = "", **attributes: Any) -> Any:
    """A field that an option fills: `--` and the field's name, or `flag`. The attributes are those of `click.option`."""
    return field(metadata={"flag": flag, "attributes": attributes})


def takes(record: type[Record]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of a record's fields, and the record of their values as its first argument.

    Those of a record come before those of the records that it extends.
    """
    of_record = {each.name: each for each in fields(record)}  # type: ignore[arg-type]
    names = list(dict.fromkeys(name for each in record.__mro__ for name in vars(each).get("__annotations__", ())))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_record(**values: Any) -> None:
            command(record(**{name: values.pop(name) for name in names}), **values)

        for each in (of_record[name] for name in reversed(names)):
            flag = each.metadata["flag"] or f"--{each.name.replace('_', '-')}"
            click.option(flag, each.name, **each.metadata["attributes"])(with_record)
        return with_record

    return decorate


@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    """What is shown to running services."""

    tls_certificate: Path | None = option(
        type=PathOption(),
        envvar="DEID_ORCHESTRATOR_TLS_CERTIFICATE",
        help="PEM certificate to show to running services: mutual TLS.",
    )
    tls_key: Path | None = option(
        type=PathOption(), envvar="DEID_ORCHESTRATOR_TLS_KEY", help="PEM private key of that certificate."
    )
    tls_authority: Path | None = option(
        type=PathOption(),
        envvar="DEID_ORCHESTRATOR_TLS_AUTHORITY",
        help="PEM certificate of the authority that signed the services' certificates.",
    )

    def tls(self) -> TlsMaterial | None:
        """Reads the files of mutual TLS; None where none was named.

        Raises:
            InputError: only some were, or one cannot be used.
        """
        certificate, key, authority = self.tls_certificate, self.tls_key, self.tls_authority
        if certificate is None and key is None and authority is None:
            return None
        if certificate is None or key is None or authority is None:
            raise InputError("--tls-certificate, --tls-key and --tls-authority: expected all three or none")
        try:
            return read_tls(TlsFiles(certificate, key, authority))
        except TlsError as error:
            raise InputError(f"--tls-certificate, --tls-key, --tls-authority: {error}") from error


@dataclass(frozen=True, kw_only=True)
class ServiceOptions(TlsOptions):
    """Where running services are."""

    protector: str | None = option(envvar="DEID_ORCHESTRATOR_PROTECTOR", help=f"A running protector: {ADDRESSES}")
    protector_tls_name: str | None = option(envvar="DEID_ORCHESTRATOR_PROTECTOR_TLS_NAME", help=TLS_NAME)
    invader: str | None = option(envvar="DEID_ORCHESTRATOR_INVADER", help=f"A running invader: {ADDRESSES}")
    invader_tls_name: str | None = option(envvar="DEID_ORCHESTRATOR_INVADER_TLS_NAME", help=TLS_NAME)

    @property
    def tls_names(self) -> dict[str, str | None]:
        """Those that certificates are for, by the kind of service, where these are not their hosts."""
        return {"protector": self.protector_tls_name, "invader": self.invader_tls_name}


class CalibratedThreshold(click.ParamType[str]):
    """The name of a threshold that is calibrated for a rate: fpir:RATE or fmr:RATE."""

    name = "threshold"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType.convert`."""
        if re.fullmatch(r"(fpir|fmr):0?\.[0-9]+", value) is None or not float(value.partition(":")[2]):
            expected = "expected fpir:RATE or fmr:RATE with a rate above 0 and below 1, as in fpir:0.01"
            self.fail(f"{expected}, got {value}", param, ctx)
        kind, _, rate = value.partition(":")
        return f"{kind}:{Decimal(rate).normalize():f}"


class GivenThreshold(click.ParamType[str]):
    """A threshold of a matcher, MATCHER:NUMBER or MATCHER:LABEL=NUMBER, or the name of those that papers copy."""

    name = "threshold"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType.convert`."""
        if value != COPIED and re.fullmatch(r"[a-z0-9._-]+:([a-z0-9._-]{1,40}=)?-?[0-9]{1,9}(\.[0-9]{1,9})?", value) is None:
            self.fail(f"expected MATCHER:NUMBER, MATCHER:LABEL=NUMBER or {COPIED}, got {value}", param, ctx)
        return value


def conditions_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Condition, ...] | None:
    """The conditions of an option that can be repeated, and has named sets too; None where it was not given."""
    try:
        return parse_conditions(",".join(values)) if values else None
    except InputError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=param) from error


class SourceModel(click.ParamType[str]):
    """The name of a source model, or of several joined by "+": an ensemble, whose members come in ascending order."""

    name = "model"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType.convert`."""
        names = sorted(name.strip() for name in value.split(ENSEMBLE))
        if not all(names):
            self.fail(f"expected a model on both sides of {ENSEMBLE}, got {value}", param, ctx)
        for first, second in pairwise(names):
            if first == second:
                self.fail(f"expected an ensemble of different models, got {first} twice in {value}", param, ctx)
        return ENSEMBLE.join(names)
