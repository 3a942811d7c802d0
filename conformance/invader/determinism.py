"""What an answer must not depend on."""

from conformance.check import NotApplicable, Problems, check
from conformance.invader.service import Invader

MAX_ALONE = 8  # target models


@check(
    "alone",
    demands="A target model answers the same whether it is asked alone or among others.",
    why="Each target model is an experiment of its own.",
    queries=1 + MAX_ALONE,
)
async def alone(service: Invader) -> Problems:
    if len(service.model_names) < 2:
        raise NotApplicable("there is one target model only")
    together = {each.target_model: each for each in (await service.answer()).classifications}
    for name in service.model_names[:MAX_ALONE]:
        answer = await service.answer_again(target_models=[name])
        if [together.get(name)] != list(answer.classifications):
            yield f"{name}: its answer differs when it is asked alone"
