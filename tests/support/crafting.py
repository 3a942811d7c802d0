"""A method at work on one probe, without an engine: each of its asks is answered alone, in the thread that crafts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protector_service.batched_model import BatchedModel
from protector_service.candidates import KnownIdentities
from protector_service.ensemble import View
from protector_service.job import FinishedCloak, image_of
from protector_service.method_run import MethodRun
from protector_service.methods.asks import Answer, Ask
from protector_service.methods.method import Method, MethodJob
from recognizers.networks.recognizer import Recognizer


def method_job(
    method: Method,
    photo: NDArray[np.uint8],
    epsilons: Sequence[int],
    *,
    seed: int = 0,
    y_true: int = 1,
    dtype: torch.dtype = torch.float64,
) -> MethodJob:
    """What a method is given of a probe (S, S, 3)."""
    image = image_of(photo, device=torch.device("cpu"), dtype=dtype)
    return MethodJob(method.name, image, method.budgets(epsilons), y_true, seed)


def crafted(method: Method, job: MethodJob, recognizer: Recognizer) -> list[FinishedCloak]:
    """The cloaks of a job, held against their budgets, in the order in which the method handed them out.

    The candidates are those whom the recognizer knows.
    """
    job = replace(job, candidates=KnownIdentities(dict.fromkeys(job.models, recognizer.head)))
    model = BatchedModel(recognizer, batch_rows=1, dtype=job.probe.dtype)
    photo = pixels_of(job.probe)
    run = MethodRun(method, job, probe=photo, views=(View(""),), classes=len(recognizer.label_set))
    progress = run.advance()
    cloaks = progress.cloaks
    while progress.asks:
        progress = run.advance([_answer(model, ask) for ask in progress.asks])
        cloaks += progress.cloaks
    return cloaks


def pixels_of(image: Tensor) -> NDArray[np.uint8]:
    """An image (3, S, S) of whole levels as (S, S, 3)."""
    return image.detach().permute(1, 2, 0).to(torch.uint8).contiguous().numpy()


def _answer(model: BatchedModel, ask: Ask) -> Answer:
    (answer,) = model.answers([ask])
    if isinstance(answer, Exception):
        raise answer
    return answer
