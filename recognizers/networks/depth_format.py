"""Formats of networks of one family, which differ in how many blocks they have."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from recognizers.networks.state_dict_format import StateDictFormat


@dataclass(frozen=True, kw_only=True)
class DepthFormat(StateDictFormat):
    """A format of a file that is of the family by `known_by` and `without`, and has this network's number of blocks."""

    block: str  # a regular expression of a name that each block has once
    blocks: int

    def matches(self, names: Collection[str]) -> bool:
        return super().matches(names) and self._blocks(names) == self.blocks

    def near_miss(self, names: Collection[str]) -> str | None:
        if not super().matches(names):
            return None
        return f"has {self._blocks(names)} blocks, where that has {self.blocks}"

    def _blocks(self, names: Collection[str]) -> int:
        return sum(1 for name in names if re.fullmatch(self.block, name))
