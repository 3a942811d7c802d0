"""All that is called after a role is called as the role says."""

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from conformance.catalogue import ALL_CHECKS
from orchestrator.cli import cli
from rpc.roles import INVADER, PROTECTOR, ROLES, Role

ROOT = Path(__file__).parents[3]
CHECKS = [check.id for check in ALL_CHECKS]
SCHEMAS = {PROTECTOR: protector_pb2, INVADER: invader_pb2}

roles = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@roles
def test_its_grpc_service_is_the_schema_s(role: Role) -> None:
    (service,) = SCHEMAS[role].DESCRIPTOR.services_by_name.values()
    assert role.grpc_service == service.full_name


@roles
def test_its_module_is_installed_as_its_program(role: Role) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts[role.program] == f"{role.name}_service.__main__:main"


@roles
def test_its_settings_are_variables_of_its_prefix(role: Role) -> None:
    config = import_module(f"{role.name}_service.config")
    settings = getattr(config, f"{role.name.capitalize()}Settings")
    assert settings.model_config["env_prefix"] == role.environment_prefix


@roles
def test_its_container_runs_its_module_from_its_image(role: Role) -> None:
    service: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][role.name]
    assert (service["image"], service["build"]["target"]) == (f"face-deid-bench/{role.name}", role.name)
    assert service["healthcheck"]["test"] == ["CMD", "python", "-P", "-m", f"{role.name}_service", "healthcheck"]
    assert all(name.startswith(role.environment_prefix) for name in service["environment"])
    assert f"FROM services AS {role.name}\n" in (ROOT / "Dockerfile").read_text()
    assert f'ENTRYPOINT ["python", "-P", "-m", "{role.name}_service"]' in (ROOT / "Dockerfile").read_text()


@roles
def test_an_evaluation_starts_one_with_a_folder_of_checkpoints(role: Role) -> None:
    evaluate = cli.get_command(click.Context(cli), "evaluate")
    assert evaluate is not None
    options = {name for parameter in evaluate.params for name in parameter.opts}
    assert {f"--{role.name}", f"--{role.name}-checkpoints"} <= options


def test_every_check_of_the_conformance_suite_is_for_one_role() -> None:
    assert {check.partition(".")[0] for check in CHECKS} == {role.name for role in ROLES}
