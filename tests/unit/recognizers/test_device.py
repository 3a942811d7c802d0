"""How threads are shared out between the workers of a device."""

from collections.abc import Iterator

import pytest
import torch

from recognizers.device import prepare_device
from recognizers.errors import RecognizerError


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("cores", "workers", "threads", "expected"),
    [
        (4, 0, 0, (2, 2)),
        (1, 0, 0, (1, 1)),
        (8, 1, 0, (1, 8)),
        (4, 3, 0, (3, 1)),
        (2, 4, 0, (4, 1)),
        (4, 2, 1, (2, 1)),
    ],
)
def test_a_cpu_s_cores_are_shared_out(cores: int, workers: int, threads: int, expected: tuple[int, int]) -> None:
    torch.set_num_threads(cores)
    prepared = prepare_device("cpu", workers=workers, threads=threads)
    assert (prepared.device, (prepared.workers, torch.get_num_threads())) == (torch.device("cpu"), expected)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(RecognizerError, match="device: expected auto, cpu or an available cuda device, got 'abacus'"):
        prepare_device("abacus", workers=0, threads=0)
