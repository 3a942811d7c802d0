"""What holds for all tests over real channels."""

import pytest


@pytest.fixture(autouse=True)
def _asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a question is asked again there are milliseconds, and not seconds."""
    monkeypatch.setattr("orchestrator.services.retries.FIRST_WAIT_SECONDS", 0.001)
