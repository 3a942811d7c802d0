"""One deployment for all of these tests."""

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment, deployed


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """Both services, up and unhurt; whoever harms them mends them."""
    with deployed() as running:
        yield running
