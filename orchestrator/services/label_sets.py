"""The label sets that services list."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.experiment.model import Model

LabelSets = dict[str, tuple[str, ...]]  # by model, in class order


class Lister(Protocol):
    """Something that lists label sets."""

    name: str

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        """The label set of a model; None where it does not list that."""
        ...


async def fetch_label_sets(
    source: Lister, sources: Mapping[str, Model], invader: Lister, targets: Mapping[str, Model]
) -> tuple[LabelSets, LabelSets]:
    """The label sets of source and of target models; one that several models share is fetched once.

    A source that lists none has cloaks of everybody in the data set.

    Raises:
        InputError: the invader does not list a label set that the source does not have either.
        UnusableServiceError: a label set does not have the digest that its model states.
    """
    by_digest: dict[str, tuple[str, ...]] = {}
    for lister, models in ((source, sources), (invader, targets)):
        for model in models.values():
            if model.label_set_sha256 in by_digest:
                continue
            identities = await lister.identities(model)
            if identities is None:
                if lister is source:
                    continue
                raise InputError(
                    f"the {lister.name} does not list the identities of {model.name}, and its label set is none "
                    f"of the protector's: which subjects it can name is not known"
                )
            if sha256("\n".join(identities).encode()).hexdigest() != model.label_set_sha256:
                raise UnusableServiceError(f"{lister.name}: the identities of {model.name} do not have the digest it states")
            by_digest[model.label_set_sha256] = identities
    of_sources, of_targets = (
        {name: by_digest[model.label_set_sha256] for name, model in models.items() if model.label_set_sha256 in by_digest}
        for models in (sources, targets)
    )
    return of_sources, of_targets
