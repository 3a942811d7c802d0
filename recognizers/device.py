"""Where networks run, and that they answer the same each time."""

import torch

from recognizers.errors import RecognizerError


def prepare_device(name: str, *, threads: int) -> torch.device:
    """The device of a name ("auto", "cpu", "cuda", "cuda:N"), set up for repeatable arithmetic.

    Args:
        name: "auto" takes a GPU where there is one.
        threads: processor threads for this process; 0 leaves torch's own choice.

    Raises:
        RecognizerError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecognizerError(f"device: expected auto, cpu or an available cuda device, got {name!r}") from error
    if threads:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return device
