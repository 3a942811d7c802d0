"""What holds for all tests over real channels."""

import pytest

from orchestrator.faces.folder import FaceFolder, read_face_folder
from tests.support.conformance_runs import write_faces


@pytest.fixture(autouse=True)
def _asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a question is asked again there are milliseconds, and not seconds."""
    monkeypatch.setattr("orchestrator.services.retries.FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceFolder:
    """A photo each of people whom the services of tests know."""
    root = tmp_path_factory.mktemp("faces")
    write_faces(root)
    return read_face_folder(root)
