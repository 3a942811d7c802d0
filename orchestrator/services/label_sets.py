"""The label sets that services list."""

from collections.abc import Mapping
from hashlib import sha256

from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.experiment.model import Model
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient

LabelSets = dict[str, tuple[str, ...]]  # by model, in class order


async def fetch_label_sets(
    protector: ProtectorClient, sources: Mapping[str, Model], invader: InvaderClient, targets: Mapping[str, Model]
) -> tuple[LabelSets, LabelSets]:
    """The label sets of source and of target models; one that several models share is fetched once.

    Raises:
        InputError: the invader does not list a label set that the protector does not have either.
        UnusableServiceError: a label set does not have the digest that its model states.
    """
    by_digest: dict[str, tuple[str, ...]] = {}
    for client, models in ((protector, sources), (invader, targets)):
        for model in models.values():
            if model.label_set_sha256 in by_digest:
                continue
            identities = await client.identities(model)
            if identities is None:
                raise InputError(
                    f"the {client.name} does not list the identities of {model.name}, and its label set is none "
                    f"of the protector's: which subjects it can name is not known"
                )
            if sha256("\n".join(identities).encode()).hexdigest() != model.label_set_sha256:
                raise UnusableServiceError(f"{client.name}: the identities of {model.name} do not have the digest it states")
            by_digest[model.label_set_sha256] = identities
    of_sources = {name: by_digest[model.label_set_sha256] for name, model in sources.items()}
    return of_sources, {name: by_digest[model.label_set_sha256] for name, model in targets.items()}
