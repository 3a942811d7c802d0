"""Where a network's tensors are within what a training loop saved: under which keys, behind which prefix of their names."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")

MAX_DEPTH = 3  # mappings within mappings
MAX_PREFIXES = 4  # one within another: torch.compile's `_orig_mod.` in DataParallel's `module.` in Lightning's `model.`

KeyPath = tuple[str, ...]  # keys, from the outermost; none for the file's own mapping


def state_dicts_in(content: object, kind: type[T]) -> dict[KeyPath, dict[str, T]]:
    """The mappings of name -> tensor in a file's content, by where they are; what else they hold is left out.

    Args:
        content: what the file holds.
        kind: the class of its tensors.
    """
    found: dict[KeyPath, dict[str, T]] = {}
    queue: list[tuple[KeyPath, object]] = [((), content)]
    seen: set[int] = set()
    for keys, mapping in queue:
        if not isinstance(mapping, dict) or id(mapping) in seen:
            continue
        seen.add(id(mapping))
        # Not the mapping's own method: an OrderedDict takes attributes, which a file could set.
        entries = list(dict.items(mapping))
        if named := {name: value for name, value in entries if isinstance(name, str) and isinstance(value, kind)}:
            found[keys] = named
        if len(keys) < MAX_DEPTH:
            queue.extend(((*keys, str(name)), value) for name, value in entries if isinstance(value, dict))
    return found


def largest(state_dicts: Mapping[KeyPath, Mapping[str, object]]) -> KeyPath:
    """Where the mapping of most tensors is."""
    return max(state_dicts, key=lambda keys: len(state_dicts[keys]))


def without_prefixes(named: Mapping[str, T]) -> Iterator[tuple[str, dict[str, T]]]:
    """The mapping itself, then without the first component of its names, as long as all names have the same.

    Yields:
        What was removed from the front of every name, and the mapping under what is left of them.
    """
    prefix, current = "", dict(named)
    for _ in range(MAX_PREFIXES + 1):
        yield prefix, current
        heads = {name.partition(".")[0] if "." in name else None for name in current}
        if len(heads) != 1 or (head := heads.pop()) is None:
            return
        prefix += f"{head}."
        current = {name.removeprefix(f"{head}."): value for name, value in current.items()}


def location(keys: KeyPath, prefix: str) -> str | None:
    """Where a network was found, in words; None where the file's own mapping is its state dict."""
    parts = [f"under {' -> '.join(map(repr, keys))}"] if keys else []
    parts += [f"without the prefix {prefix!r} of all names"] if prefix else []
    return ", ".join(parts) or None
