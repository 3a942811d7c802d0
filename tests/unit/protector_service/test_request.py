"""What a Craft request may ask for. (What is checked of each field alone: tests/contract/test_protector.py.)"""

from typing import Any

import grpc
import pytest
from deid.protector.v1 import protector_pb2

from protector_service.batched_model import BatchedModel
from protector_service.methods.asks import Cloak, Cost, Crafting
from protector_service.methods.method import Method, MethodJob
from protector_service.request import CraftOrder, parse_craft_request
from protector_service.source_model import SourceModel
from recognizers.networks.label_set import LabelSet
from recognizers.precision import Precision
from rpc.errors import ServiceError
from tests.support.engines import METHODS
from tests.support.networks import SmallRecognizer


class Unlabelled(Method):
    """Needs no label set."""

    name = "unlabelled"
    description = "Needs no label set."
    needs_label_set = False

    def cost(self, epsilon: int) -> Cost:
        return Cost()

    def craft(self, job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            yield Cloak(epsilon, job.probe)


def source_model(*, input_size: int, classes: int = 7) -> SourceModel:
    recognizer = SmallRecognizer(input_size=input_size, classes=classes)
    return SourceModel(BatchedModel(recognizer, batch_rows=2), "c" * 64, Precision.FLOAT32, threads=1)


def of_strangers() -> SourceModel:
    """A model that knows nobody whom the others know."""
    model = source_model(input_size=8)
    model.recognizer.label_set = LabelSet(tuple(f"stranger_{place}" for place in range(7)))  # type: ignore[misc]
    return model


SOURCE_MODELS = {
    "facenet": source_model(input_size=8),
    "resnet": source_model(input_size=12),
    "senet": source_model(input_size=12, classes=5),
    "strangers": of_strangers(),
}


def parsed(**changes: Any) -> CraftOrder:
    fields: dict[str, Any] = {
        "identity": "identity_2",
        "source_model": "facenet",
        "methods": ["bim"],
        "epsilons": [8, 4],
        "storage": protector_pb2.Storage(png=protector_pb2.PngStorage()),
        "seed": 5,
    }
    methods = dict(METHODS) | {"unlabelled": Unlabelled()}
    return parse_craft_request(
        protector_pb2.CraftRequest(**(fields | changes)), methods=methods, source_models=SOURCE_MODELS
    )


def refused(**changes: Any) -> ServiceError:
    with pytest.raises(ServiceError) as failure:
        parsed(**changes)
    return failure.value


def test_one_source_model_is_no_ensemble() -> None:
    order = parsed()
    assert (order.source_models, order.side, order.y_true, order.seed) == (("facenet",), 8, 2, 5)
    assert order.epsilons == (8, 4)
    assert order.cloaks == 2


def test_an_ensemble_has_the_largest_input_size_of_its_members() -> None:
    order = parsed(source_model="facenet+resnet")
    assert (order.source_models, order.side, order.y_true) == (("facenet", "resnet"), 12, 2)


def test_controls_come_first_and_none_has_one_budget() -> None:
    order = parsed(methods=["bim", "noise", "illc", "none"])
    assert [method.name for method in order.methods] == ["noise", "none", "bim", "illc"]
    assert order.cloaks == 2 + 1 + 2 + 2


ASCENDING = "source_model: expected the members of an ensemble in ascending order, each once: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_model": "facenet+vgg"}, "source_model: expected one of facenet, resnet, senet, strangers, got 'vgg'"),
        ({"source_model": "facenet+"}, "source_model: expected one of facenet, resnet, senet, strangers, got ''"),
        ({"source_model": "+"}, "source_model: expected one of facenet, resnet, senet, strangers, got ''"),
        ({"source_model": ""}, "source_model: expected one of facenet, resnet, senet, strangers, got ''"),
        ({"source_model": "resnet+facenet"}, f"{ASCENDING}facenet+resnet, got 'resnet+facenet'"),
        ({"source_model": "facenet+facenet"}, f"{ASCENDING}facenet, got 'facenet+facenet'"),
        ({"source_model": "facenet+facenet+resnet"}, f"{ASCENDING}facenet+resnet, got 'facenet+facenet+resnet'"),
        (
            {"source_model": "facenet+" * 1000 + "facenet"},
            "source_model: expected one of facenet, resnet, senet, strangers, got 'facenet+facenet+",
        ),
        (
            {"source_model": "facenet+senet"},
            "source_model: expected members with the same label set, as bim needs one, got facenet with 7 ",
        ),
        (
            {"source_model": "facenet+senet", "methods": ["unlabelled", "illc", "bim"]},
            "source_model: expected members with the same label set, as illc, bim need one, got facenet with ",
        ),
        ({"identity": ""}, "identity: expected a name that the service lists, got ''"),
        ({"identity": "", "methods": ["noise", "bim"]}, "identity: expected a name that the service lists, got ''"),
        ({"identity": "x", "methods": ["noise"]}, "identity: expected a name that the service lists, got 'x'"),
        ({"methods": ["bim", "none"], "epsilons": []}, "epsilons: expected at least one budget, got none"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    error = refused(**changes)
    assert error.message.startswith(message)
    unknown = "one of" in message or "a name" in message
    assert error.code is (grpc.StatusCode.NOT_FOUND if unknown else grpc.StatusCode.INVALID_ARGUMENT)


def test_methods_that_need_no_label_set_need_no_common_one() -> None:
    order = parsed(source_model="facenet+senet", methods=["unlabelled", "noise", "none"])
    assert order.source_models == ("facenet", "senet")


def test_a_method_that_needs_candidates_needs_somebody_whom_all_members_know() -> None:
    fields: dict[str, Any] = {"identity": "", "methods": ["fawkes-targeted"], "epsilons": []}
    assert parsed(**fields, source_model="facenet+senet").source_models == ("facenet", "senet")
    error = refused(**fields, source_model="facenet+strangers")
    assert error.message == (
        "source_model: expected members that know somebody in common, as fawkes-targeted needs, got facenet, strangers, "
        "which do not"
    )
    assert parsed(**{**fields, "methods": ["fawkes-mid"]}, source_model="facenet+strangers").cloaks == 1


@pytest.mark.parametrize("methods", [["none"], ["noise"], ["unlabelled", "none"]])
def test_methods_that_need_no_label_set_need_no_identity(methods: list[str]) -> None:
    assert parsed(methods=methods, identity="").y_true == 0
    assert parsed(methods=methods, identity="identity_3").y_true == 3
