"""What computes an ONNX network: onnxruntime, on the CPU, as it was asked and no other way."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Session: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # from (1, 3, S, S) to (1, F)
MakeSession: TypeAlias = Callable[[bytes], Session]  # of a serialised model


def onnxruntime_session(model: bytes) -> Session:
    """A session of onnxruntime, for several threads; each run takes as many processor threads as PyTorch's.

    It is given bytes and no path, so that there is nothing beside it to open, and no operators but its own.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the other threads of a service
    options.log_severity_level = 4  # what fails raises
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (image,), (embedding,) = session.get_inputs(), session.get_outputs()

    def run(face: NDArray[np.float32]) -> NDArray[np.float32]:
        (features,) = session.run([embedding.name], {image.name: face})
        result: NDArray[np.float32] = features
        return result

    return run
