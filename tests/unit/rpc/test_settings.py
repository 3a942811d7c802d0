"""Settings: command line over environment over default; what is not understood stops the start with its name."""

import logging
import os
from pathlib import Path

import pytest
from PIL import Image
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from protector_service.config import ProtectorSettings
from rpc.certificates import Authority
from rpc.images.limits import ImageLimits
from rpc.settings import PILLOW_LIMIT, ServiceSettings, log_injected_variables, read_settings
from rpc.tls import TlsError
from tests.support.certificates import material, written

PROGRAM = "lamp-service"


class LampSettings(ServiceSettings):
    """A service of no other kind."""

    model_config = SettingsConfigDict(env_prefix="DEID_LAMP_")

    lumens: int = Field(800, ge=1, description="How bright.")
    flicker: bool = Field(False, description="Whether it flickers.")


class FittedLampSettings(LampSettings):
    """A lamp that does not come with a bulb."""

    bulb: str


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("DEID_LAMP")]:
        monkeypatch.delenv(name)


def read(*arguments: str) -> LampSettings:
    return read_settings(LampSettings, program=PROGRAM, arguments=["--checkpoints", "weights", *arguments])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, settings: type[LampSettings] = LampSettings) -> str:
    """What is said of arguments that stop the start with exit status 2."""
    with pytest.raises(SystemExit) as stopped:
        read_settings(settings, program=PROGRAM, arguments=list(arguments))
    said = capsys.readouterr()
    # `sys.exit` with a text prints it and exits with 1, but only once the interpreter handles it.
    text = said.err + (stopped.value.code if isinstance(stopped.value.code, str) else "")
    assert "Traceback" not in text
    assert said.out == ""
    assert (stopped.value.code, text) == (2, text)
    return text


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = read()
    assert (settings.host, settings.port, settings.checkpoints) == ("127.0.0.1", 0, Path("weights"))
    assert settings.lumens == 800
    assert settings.stop_with_stdin is False
    assert settings.image_limits == ImageLimits()


def test_the_environment_goes_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEID_LAMP_LUMENS", "5")
    monkeypatch.setenv("DEID_LAMP_MAX_WAITING", "3")
    settings = read()
    assert (settings.lumens, settings.max_waiting) == (5, 3)


def test_the_command_line_goes_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEID_LAMP_LUMENS", "5")
    monkeypatch.setenv("DEID_LAMP_PORT", "6")
    settings = read("--lumens", "7")
    assert (settings.lumens, settings.port) == (7, 6)


def test_a_required_setting_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEID_LAMP_CHECKPOINTS", "elsewhere")
    assert read_settings(LampSettings, program=PROGRAM, arguments=[]).checkpoints == Path("elsewhere")


def test_flags_have_hyphens_and_truth_values_are_spelled_out() -> None:
    settings = read("--max-waiting", "2", "--stop-with-stdin", "true", "--log-level", "error")
    assert (settings.max_waiting, settings.stop_with_stdin, settings.log_level) == (2, True, "error")


@pytest.mark.parametrize("typed", ["::1", "[::1]"])
def test_an_ipv6_host_may_be_typed_with_brackets_or_without(typed: str) -> None:
    settings = read("--host", typed, "--metrics-host", typed)
    assert (settings.host, settings.metrics_host) == ("::1", "::1")


@pytest.mark.parametrize("flag", ["--host", "--metrics-host"])
def test_a_host_with_a_port_stops_the_start(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    said = refusal(capsys, flag, "127.0.0.1:5000")
    assert said == f"lamp-service: {flag}: expected a host name or an address, without a port, got '127.0.0.1:5000'\n"


def test_limits_on_images_are_those_that_were_set() -> None:
    assert read("--max-bytes", "10", "--max-pixels", "20").image_limits == ImageLimits(max_bytes=10, max_pixels=20)


def test_more_pixels_than_pillow_takes_cannot_be_promised() -> None:
    assert Image.MAX_IMAGE_PIXELS == PILLOW_LIMIT
    assert read("--max-pixels", str(PILLOW_LIMIT)).max_pixels == PILLOW_LIMIT


def test_another_service_s_environment_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEID_LANTERN_LUMENS", "5")
    monkeypatch.setenv("LUMENS", "6")
    assert read().lumens == 800


def test_an_unknown_environment_variable_of_this_service_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEID_LAMP_LUMEN", "5")
    monkeypatch.setenv("DEID_LAMP_SHADE", "red")
    near, unlike = refusal(capsys, "--checkpoints", "weights").splitlines()
    assert near == "lamp-service: unknown environment variable DEID_LAMP_LUMEN; did you mean DEID_LAMP_LUMENS?"
    assert unlike.startswith("lamp-service: unknown environment variable DEID_LAMP_SHADE; known: DEID_LAMP_CHECKPOINTS, ")
    assert "DEID_LAMP_LUMENS" in unlike


# What Kubernetes 1.30 injects for a Service called deid-lamp with the ports grpc and metrics.
INJECTED = {
    "DEID_LAMP_SERVICE_HOST": "10.96.0.17",
    "DEID_LAMP_SERVICE_PORT": "50052",
    "DEID_LAMP_SERVICE_PORT_GRPC": "50052",
    "DEID_LAMP_SERVICE_PORT_METRICS": "9464",
    "DEID_LAMP_PORT": "tcp://10.96.0.17:50052",
    "DEID_LAMP_PORT_50052_TCP": "tcp://10.96.0.17:50052",
    "DEID_LAMP_PORT_50052_TCP_PROTO": "tcp",
    "DEID_LAMP_PORT_50052_TCP_PORT": "50052",
    "DEID_LAMP_PORT_50052_TCP_ADDR": "10.96.0.17",
    "DEID_LAMP_PORT_9464_TCP": "tcp://10.96.0.17:9464",
    "DEID_LAMP_PORT_9464_TCP_PROTO": "tcp",
    "DEID_LAMP_PORT_9464_TCP_PORT": "9464",
    "DEID_LAMP_PORT_9464_TCP_ADDR": "10.96.0.17",
}
# And for another, called deid-lamp-metrics, by UDP over IPv6.
INJECTED_BESIDE = {
    "DEID_LAMP_METRICS_SERVICE_HOST": "fd00::17",
    "DEID_LAMP_METRICS_SERVICE_PORT": "9464",
    "DEID_LAMP_METRICS_PORT": "udp://[fd00::17]:9464",
    "DEID_LAMP_METRICS_PORT_9464_UDP": "udp://[fd00::17]:9464",
    "DEID_LAMP_METRICS_PORT_9464_UDP_PROTO": "udp",
    "DEID_LAMP_METRICS_PORT_9464_UDP_PORT": "9464",
    "DEID_LAMP_METRICS_PORT_9464_UDP_ADDR": "fd00::17",
}


@pytest.fixture
def injected(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    variables = INJECTED | INJECTED_BESIDE
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_what_kubernetes_injects_is_not_taken_for_settings_and_is_logged(
    injected: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rpc")
    settings = read()
    assert (settings.port, settings.metrics_port) == (0, None)
    log_injected_variables(settings)
    (record,) = caplog.records
    assert record.__dict__["variables"].split(", ") == sorted(injected)


def test_nothing_is_logged_where_nothing_is_injected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rpc")
    monkeypatch.setenv("DEID_LAMP_PORT", "50052")
    settings = read()
    assert settings.port == 50052
    log_injected_variables(settings)
    assert caplog.records == []


def test_a_port_that_is_given_goes_over_one_that_is_injected(injected: dict[str, str]) -> None:
    assert read("--port", "50052", "--metrics-port", "0").port == 50052


def test_other_variables_stop_the_start_beside_injected_ones(
    injected: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DEID_LAMP_SERVICE_HOSTS", "DEID_LAMP_PORT_GRPC", "DEID_LAMP_PORT_50052_TLS", "DEID_LAMP_SERVICE"):
        monkeypatch.setenv(name, "tcp://10.96.0.17:50052")
    said = refusal(capsys).splitlines()
    assert [line.removeprefix("lamp-service: unknown environment variable ").partition(";")[0] for line in said] == [
        *("DEID_LAMP_PORT_50052_TLS", "DEID_LAMP_PORT_GRPC", "DEID_LAMP_SERVICE", "DEID_LAMP_SERVICE_HOSTS"),
    ]


def test_a_port_that_is_no_number_is_a_bad_value_unless_it_is_an_address_of_kubernetes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEID_LAMP_PORT", "http://10.96.0.17:50052")
    assert "got 'http://10.96.0.17:50052'" in refusal(capsys)


def test_an_unknown_flag_stops_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--lumen-count" in refusal(capsys, "--checkpoints", "weights", "--lumen-count", "5")


def test_an_abbreviated_flag_is_an_unknown_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--max-wait" in refusal(capsys, "--checkpoints", "weights", "--max-wait", "5")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--health-port", "65536"),
        ("--metrics-port", "-1"),
        ("--port", "http"),
        ("--lumens", "0"),
        ("--drain-seconds", "-0.5"),
        ("--drain-seconds", "nan"),
        ("--log-level", "loud"),
        ("--max-pixels", "0"),
        ("--max-pixels", str(PILLOW_LIMIT + 1)),
        ("--stop-with-stdin", "maybe"),
    ],
)
def test_a_bad_value_stops_the_start_with_its_flag_and_what_came(
    capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    text = refusal(capsys, "--checkpoints", "weights", f"{flag}={value}")
    assert f"lamp-service: {flag}: " in text
    assert text.rstrip().endswith(f"got {value!r}")


def test_a_bad_value_from_the_environment_stops_the_start_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEID_LAMP_MAX_WAITING", "few")
    text = refusal(capsys, "--checkpoints", "weights")
    assert "--max-waiting" in text
    assert "waiting" in text.lower()
    assert "got 'few'" in text


def test_every_bad_value_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(capsys, "--checkpoints", "weights", "--port", "x", "--lumens", "y")
    assert [line.split(": ")[1] for line in text.splitlines()] == ["--port", "--lumens"]


def test_a_missing_setting_stops_the_start_with_its_flag_and_nothing_of_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = refusal(capsys, "--lumens", "12345", settings=FittedLampSettings)
    assert text.startswith("lamp-service: --bulb: ")
    assert "required" in text.lower()
    assert "12345" not in text


def test_a_checkpoint_folder_need_not_be_given() -> None:
    assert read_settings(LampSettings, program=PROGRAM, arguments=[]).checkpoints is None


def test_there_is_no_tls_and_no_further_port_where_nothing_is_said() -> None:
    settings = read()
    assert settings.tls is None
    assert (settings.health_port, settings.metrics_port, settings.metrics_host) == (None, None, "127.0.0.1")


def test_tls_is_what_its_three_files_hold(tmp_path: Path) -> None:
    shown = material(Authority.create(), "lamp", server=True)
    files = written(tmp_path, shown)
    given = {"--tls-certificate": files.certificate, "--tls-key": files.key, "--tls-authority": files.authority}
    assert read(*(f"{flag}={path}" for flag, path in given.items())).tls == shown


@pytest.mark.parametrize(
    "given",
    [
        ("--tls-certificate",),
        ("--tls-key",),
        ("--tls-authority",),
        ("--tls-certificate", "--tls-key"),
        ("--tls-certificate", "--tls-authority"),
        ("--tls-key", "--tls-authority"),
    ],
)
def test_a_part_of_tls_stops_the_start_with_all_that_it_takes(
    capsys: pytest.CaptureFixture[str], given: tuple[str, ...]
) -> None:
    text = refusal(capsys, *(f"{flag}=a-file" for flag in given))
    assert text == "lamp-service: --tls-certificate, --tls-key and --tls-authority: expected all three or none\n"


def test_a_part_of_tls_from_the_environment_and_the_rest_from_the_command_line_is_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEID_LAMP_TLS_AUTHORITY", "ca.crt")
    settings = read("--tls-certificate", "tls.crt", "--tls-key", "tls.key")
    assert (settings.tls_certificate, settings.tls_key) == (Path("tls.crt"), Path("tls.key"))
    assert settings.tls_authority == Path("ca.crt")


def test_files_of_tls_that_cannot_be_used_are_never_taken_for_plain_text(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    settings = read(f"--tls-certificate={missing}", f"--tls-key={missing}", f"--tls-authority={missing}")
    with pytest.raises(TlsError, match=str(missing)):
        _ = settings.tls


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_path_knows_the_home_of_its_user(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    if given == "environment":
        monkeypatch.setenv("DEID_PROTECTOR_CHECKPOINTS", "~/checkpoints")
    arguments = ["--checkpoints=~/checkpoints"] if given == "argument" else []
    settings = read_settings(ProtectorSettings, program="protector-service", arguments=arguments)
    assert settings.checkpoints == Path("/home/ann/checkpoints")
