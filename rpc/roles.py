"""What tells a protector from an invader. Imports nothing, so that health checks, tables and command lines can know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a service is in the experiment. All that is called after it follows from its name."""

    # In messages, logs and options; of its certificate, compose service and Dockerfile target; of its conformance checks.
    name: str

    @property
    def module(self) -> str:  # what `python -m` runs
        return f"{self.name}_service"

    @property
    def program(self) -> str:  # what is installed as a command
        return f"{self.name}-service"

    @property
    def environment_prefix(self) -> str:  # of the variables that are its settings
        return f"DEID_{self.name.upper()}_"

    @property
    def grpc_service(self) -> str:  # its full name in the schema
        return f"deid.{self.name}.v1.{self.name.capitalize()}Service"

    @property
    def image(self) -> str:  # its container's
        return f"face-deid-bench/{self.name}"

    @property
    def checkpoints_option(self) -> str:  # of `orchestrator evaluate`: the folder that it is started with
        return f"--{self.name}-checkpoints"


PROTECTOR, INVADER = ROLES = Role("protector"), Role("invader")
