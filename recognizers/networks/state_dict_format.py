"""How files name an architecture's tensors, and how these become the tensors of the module that is built."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StateDictFormat:
    """The names that one source of files gives to an architecture's tensors; by default the module's own.

    A file has this format where it has the tensor `known_by` and none of `without`: no other architecture's file may be so.
    """

    known_by: str
    without: tuple[str, ...] = ()
    name: str = "state dict"
    renames: tuple[tuple[str, str], ...] = ()  # regular expressions, and what replaces what they match
    left_out: str | None = None  # a regular expression of names that such a file has beside the network's
    note: str | None = None  # shown to whoever inspects such a file

    def matches(self, names: Collection[str]) -> bool:
        """Whether a file with these names can only be of this format."""
        return self.known_by in names and not any(name in names for name in self.without)

    def near_miss(self, names: Collection[str]) -> str | None:
        """What a file with these names has that one of this format has not, if it nearly is one: a predicate."""
        return None

    def keeps(self, name: str) -> bool:
        """Whether a tensor of the file is the network's."""
        return self.left_out is None or not re.fullmatch(self.left_out, name)

    def rename(self, name: str) -> str:
        """The module's name of a tensor; a name that the format does not know stays as it is."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def translate(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor, by its name in the file, as the module holds it."""
        return tensor
