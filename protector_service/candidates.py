"""Whom a cloak can be made to look like: the identities that all source models know."""

from collections.abc import Mapping
from functools import cached_property

from torch import Tensor

from recognizers.networks.head import Head


class KnownIdentities:
    """See `Candidates`. In the order of the first source model's classes; nothing is computed before it is asked for."""

    def __init__(self, heads: Mapping[str, Head]) -> None:
        """Takes the head of each source model, by name."""
        self._heads = heads

    @cached_property
    def _identities(self) -> tuple[str, ...]:
        first, *others = (head.label_set for head in self._heads.values())
        return tuple(each for each in first.identities if all(each in label_set for label_set in others))

    def __len__(self) -> int:
        return len(self._identities)

    def centroid(self, model: str, place: int) -> Tensor:
        """The unit vector (F,) that stands for an identity with a source model."""
        head = self._heads[model]
        return head.centroid(head.label_set.index(self._identities[place]))
