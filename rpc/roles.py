"""What tells a protector from an invader. Imports nothing: a program knows its role before it imports anything heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a service is in the experiment. All that is called after it follows from its name."""

    # In messages, logs and options; of its certificate, compose service and Dockerfile target; of its conformance checks.
    name: str

    @property
    def program(self) -> str:  # what is installed as a command
        return f"{self.name}-service"

    @property
    def environment_prefix(self) -> str:  # of the variables that are its settings
        return f"DEID_{self.name.upper()}_"

    @property
    def grpc_service(self) -> str:  # its full name in the schema
        return f"deid.{self.name}.v1.{self.name.capitalize()}Service"


PROTECTOR, INVADER = ROLES = Role("protector"), Role("invader")
