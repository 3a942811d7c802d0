"""What a run asks for its cloaks."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Protocol

from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.method import Method
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement


class CloakSource(Protocol):
    """A protector, or what stands in for one."""

    name: str

    @property
    def placements(self) -> Collection[Placement]:
        """What cloaks can be of, once the models were listed."""
        ...

    @property
    def enrols(self) -> bool:
        """Whether matchers craft with galleries that are given to `craft`, once the models were listed."""
        ...

    async def models(self) -> dict[str, Model]:
        """The source models, by name."""
        ...

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        """What each method states of itself, and of its costs at these budgets, by its name."""
        ...

    async def identities(self, model: Model) -> tuple[str, ...] | None:
        """The label set of a source model; None where there are cloaks of everybody in the data set."""
        ...

    def craft(
        self,
        photo: bytes,
        *,
        probe: str,
        identity: str,
        source_model: str,
        methods: Sequence[str],
        epsilons: Sequence[int],
        seed: int,
        placement: Placement = Placement.CROP,
        gallery: Mapping[str, Sequence[bytes]] | None = None,
    ) -> AsyncGenerator[Cloak, None]:
        """The cloaks of a photo, in any order.

        `gallery` has the pictures by identity that matchers compare with, in place of the protector's own gallery.

        Raises:
            OrchestratorError: they cannot be had; those yielded so far are good.
        """
        ...

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Makes sure that it answers, and as it did when the run began.

        Raises:
            UnusableServiceError: it does not.
        """
        ...

    async def close(self) -> None:
        """Lets go of what it holds."""
        ...
