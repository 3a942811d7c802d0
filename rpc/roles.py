"""What tells a protector from an invader. Imports nothing, so that health checks, tables and command lines can know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a service is in the experiment. All that is called after it follows from its name."""

    name: str  # in messages and logs, of its certificate, of its compose service, target of the Dockerfile

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"{self.name}_service"

    @property
    def program(self) -> str:
        """What is installed as a command."""
        return f"{self.name}-service"

    @property
    def environment_prefix(self) -> str:
        """Of the variables that are its settings."""
        return f"DEID_{self.name.upper()}_"

    @property
    def grpc_service(self) -> str:
        """Full name in the schema."""
        return f"deid.{self.name}.v1.{self.name.capitalize()}Service"

    @property
    def image(self) -> str:
        """Its container image."""
        return f"face-deid-bench/{self.name}"

    @property
    def checkpoints_option(self) -> str:
        """Of `orchestrator evaluate`: the folder that a service of this role is started with."""
        return f"--{self.name}-checkpoints"

    def is_checked_by(self, check: str) -> bool:
        """Whether a check of the conformance suite, by its id, is for services of this role."""
        return check.startswith(f"{self.name}.")


PROTECTOR, INVADER = ROLES = Role("protector"), Role("invader")
