"""The label sets that services list."""

from hashlib import sha256

from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.experiment.model import Model
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient


class LabelSets:
    """Label sets by digest; each is fetched once, whoever lists it."""

    def __init__(self, protector: ProtectorClient, invader: InvaderClient) -> None:
        self._protector = protector
        self._invader = invader
        self._by_digest: dict[str, tuple[str, ...]] = {}

    async def of_source(self, model: Model) -> tuple[str, ...]:
        if model.label_set_sha256 not in self._by_digest:
            self._keep(model, await self._protector.identities(model), self._protector.name)
        return self._by_digest[model.label_set_sha256]

    async def of_target(self, model: Model) -> tuple[str, ...]:
        if model.label_set_sha256 not in self._by_digest:
            identities = await self._invader.identities(model)
            if identities is None:
                raise InputError(
                    f"the {self._invader.name} does not list the identities of {model.name}, and its label set is none "
                    f"of the protector's: which subjects it can name is not known"
                )
            self._keep(model, identities, self._invader.name)
        return self._by_digest[model.label_set_sha256]

    def _keep(self, model: Model, identities: tuple[str, ...], service: str) -> None:
        if sha256("\n".join(identities).encode()).hexdigest() != model.label_set_sha256:
            raise UnusableServiceError(f"{service}: the identities of {model.name} do not have the digest it states")
        self._by_digest[model.label_set_sha256] = identities
