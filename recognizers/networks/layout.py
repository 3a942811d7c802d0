"""What a layout is: one naming of an architecture's tensors, translated to the names of the module that is built."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from torch import Tensor


class Layout(ABC):
    """One naming of one architecture's tensors."""

    name: ClassVar[str]
    note: ClassVar[str | None] = None

    @abstractmethod
    def matches(self, names: Collection[str]) -> bool:
        """Whether a file with these names can only be of this naming."""

    def rename(self, name: str) -> str:
        """The library's name of a tensor; a name the layout does not know stays as it is."""
        return name

    def translate(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor (by its own name) as the library's module holds it."""
        return tensor


class AsBuilt(Layout):
    """The names of the module itself: what its `state_dict()` has, with the classifier beside it."""

    name = "state dict"

    def __init__(self, *, known_by: str, without: str | None = None) -> None:
        """A file is told by one name that it has, and one that it has not: no other architecture's file may be so."""
        self._known_by = known_by
        self._without = without

    def matches(self, names: Collection[str]) -> bool:
        return self._known_by in names and self._without not in names
