"""A program of its own that is a service in all but what it does: `python -m tests.support.lamp_service`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from command_line.errors import OperatorError
from rpc.addresses import address_of
from rpc.program import run_service
from rpc.roles import Role
from rpc.server import Server
from rpc.settings import ServiceSettings

LAMP = Role("lamp")


class LampError(OperatorError):
    """What the lamp's maker foresaw."""


class LampSettings(ServiceSettings):
    """Gives no light."""

    model_config = SettingsConfigDict(env_prefix=LAMP.environment_prefix)

    fault: str = Field("", description="What the start fails by.")


FAULTS: dict[str, BaseException] = {
    "memory": MemoryError(),
    "foreseen": LampError("no bulb; screw one in"),
    "unforeseen": ValueError("\nthe first line\nthe second line"),
    "module": ModuleNotFoundError("No module named 'torch'"),
    "interrupt": KeyboardInterrupt(),
}


async def serve(settings: LampSettings) -> None:
    """Serves health, unless it is to fail."""
    if settings.fault:
        raise FAULTS[settings.fault]
    server = Server(
        address=address_of(settings.host, settings.port), limits=settings.image_limits, health_port=settings.health_port
    )
    await server.serve([], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin)


if __name__ == "__main__":
    run_service(LAMP, settings=f"{__name__}:LampSettings", serve=f"{__name__}:serve")
