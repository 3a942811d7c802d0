"""--method-parameters: what an operator may set of methods, and what is said of what cannot be set."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from deid.protector.v1 import protector_pb2

from command_line.errors import OperatorError
from protector_service.capacity import CapacityLimiter
from protector_service.config import ProtectorSettings
from protector_service.engine import Engine
from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.one_pixel import OnePixelAttack
from protector_service.registry import MethodParameterError, accept_method, find_methods, set_parameters
from protector_service.serve import serve
from protector_service.servicer import ProtectorServicer
from recognizers.plugins import PluginError
from rpc.images.limits import ImageLimits
from rpc.settings import read_settings
from rpc.worker import Worker
from tests.support.engines import METHODS

FORM = "expected METHOD.PARAMETER=NUMBER, separated by commas, each parameter once"

SETTABLE = "fawkes-high, fawkes-low, fawkes-mid, fawkes-targeted, lowkey, lowkey-dssim, one-pixel"


def read(text: str) -> ProtectorSettings:
    return read_settings(ProtectorSettings, program="protector-service", arguments=[f"--method-parameters={text}"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("one-pixel.pixels=5", {("one-pixel", "pixels"): 5}),
        ("one-pixel.pixels=5, a.b-c.most_steps=07 ", {("one-pixel", "pixels"): 5, ("a.b-c", "most_steps"): 7}),
    ],
)
def test_parameters_are_numbers_by_method_and_name(text: str, expected: Mapping[tuple[str, str], int]) -> None:
    assert read(text).parameters_of_methods == expected


def test_the_environment_sets_parameters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ProtectorSettings().parameters_of_methods == {}
    monkeypatch.setenv("DEID_PROTECTOR_METHOD_PARAMETERS", "one-pixel.pixels=5,one-pixel.generations=75")
    assert ProtectorSettings().parameters_of_methods == {("one-pixel", "pixels"): 5, ("one-pixel", "generations"): 75}


@pytest.mark.parametrize(
    "text",
    [
        "one-pixel.pixels",
        "one-pixel.pixels=",
        "one-pixel.pixels=five",
        "one-pixel.pixels=-5",
        "one-pixel.pixels=2.5",
        "one-pixel.pixels=٥",
        "one-pixel.pixels=1111111111",
        "one-pixel=5",
        ".pixels=5",
        "one-pixel.pixels=5,",
        "one-pixel.pixels=5;one-pixel.generations=75",
        "one-pixel.pixels=5,one-pixel.pixels=5",
    ],
)
def test_what_is_no_list_of_parameters_stops_the_start_in_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        read(text)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"protector-service: --method-parameters: {FORM}, got {text!r}\n"


def test_what_is_set_is_what_the_method_computes_with_states_and_costs() -> None:
    chosen = {("one-pixel", "pixels"): 5, ("one-pixel", "generations"): 75, ("one-pixel", "population"): 4}
    method = find_methods(chosen).usable["one-pixel"]
    assert isinstance(method, OnePixelAttack)
    assert (method.pixels, method.population, method.generations) == (5, 4, 75)
    assert method.parameters() == {"pixels": "5", "population": "4", "generations": "75"}
    assert method.cost(8).forward_passes == 4 * 76


def test_what_is_not_set_is_as_it_was() -> None:
    methods = set_parameters(METHODS, {("one-pixel", "pixels"): 5})
    assert {name for name, method in methods.items() if method is not METHODS[name]} == {"one-pixel"}
    assert methods.keys() == METHODS.keys()
    assert METHODS["one-pixel"].parameters()["pixels"] == "1"


async def test_what_is_set_is_on_the_wire() -> None:
    engine, worker = Engine({}), Worker(max_waiting=1)
    servicer = ProtectorServicer(
        source_models={},
        methods=set_parameters(METHODS, {("one-pixel", "generations"): 7}),
        engine=engine,
        find_face=lambda photo: None,
        capacity=CapacityLimiter(0),
        worker=worker,
        limits=ImageLimits(),
    )
    listed = await servicer.ListMethods(protector_pb2.ListMethodsRequest(epsilons=[0, 4]), None)  # type: ignore[arg-type]
    (method,) = [each for each in listed.methods if each.name == "one-pixel"]
    assert method.parameters == {"pixels": "1", "population": "100", "generations": "7"}
    assert [cost.forward_passes for cost in method.costs] == [0, 800]
    engine.close()
    worker.close()


@pytest.mark.parametrize(
    ("name", "parameter", "value", "reason"),
    [
        (
            "two-pixel",
            "pixels",
            1,
            f"expected a method that has any ({SETTABLE}), got 'two-pixel'",
        ),
        ("one-pixel", "pixel", 1, "expected a parameter of one-pixel (pixels, population, generations), got 'pixel'"),
        ("one-pixel", "cost", 1, "expected a parameter of one-pixel (pixels, population, generations), got 'cost'"),
        ("bim", "alpha", 1, "expected a parameter of bim (none), got 'alpha'"),
        ("one-pixel", "pixels", 0, "one-pixel.pixels: expected 1..5, got 0"),
        ("one-pixel", "pixels", 6, "one-pixel.pixels: expected 1..5, got 6"),
        ("one-pixel", "population", 3, "one-pixel.population: expected 4..1000, got 3"),
        ("one-pixel", "generations", 0, "one-pixel.generations: expected 1..1000, got 0"),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_field_and_both_values(
    name: str, parameter: str, value: int, reason: str
) -> None:
    with pytest.raises(MethodParameterError) as refusal:
        set_parameters(METHODS, {(name, parameter): value})
    assert str(refusal.value) == f"--method-parameters: {reason}"
    assert isinstance(refusal.value, OperatorError), "whose message alone ends a start"


async def test_a_service_does_not_start_with_what_cannot_be_set() -> None:
    settings = ProtectorSettings(method_parameters="one-pixel.pixels=6", workers=1, threads=torch.get_num_threads())
    with pytest.raises(MethodParameterError, match=r"one-pixel\.pixels: expected 1\.\.5, got 6"):
        await serve(settings)


def test_the_documentation_has_every_parameter_with_its_default_and_range() -> None:
    text = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z._-]+)` \| (\d+) \| (\d+)\.\.(\d+) \|", text, flags=re.MULTILINE))
    assert documented == {
        (f"{name}.{parameter}", str(getattr(METHODS[name], parameter)), str(allowed[0]), str(allowed[-1]))
        for name in METHODS
        for parameter, allowed in METHODS[name].settable.items()
    }


def test_a_method_whose_own_value_is_not_one_that_may_be_set_is_refused() -> None:
    class Settable(BasicIterativeMethod):
        name = "settable"
        strength = 3
        settable: ClassVar[Mapping[str, range]] = {"strength": range(1, 3)}

    with pytest.raises(PluginError, match=r"expected Settable\.strength to be in the range .*, got 3 and range\(1, 3\)"):
        accept_method("settable", Settable)
    Settable.strength = 2
    method = accept_method("settable", Settable)
    assert method.having(strength=1).parameters()["strength"] == "1"
    Settable.settable = {"missing": range(1, 3)}
    with pytest.raises(PluginError, match=r"expected Settable\.missing"):
        accept_method("settable", Settable)
