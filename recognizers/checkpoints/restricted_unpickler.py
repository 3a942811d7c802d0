"""An unpickler that no file can make do anything.

Unpickling calls whatever the file names and hands it whatever state the file holds. Here every name that resolves is one of
a few stand-ins, and state reaches only those that take it. Any other name becomes a `Foreign`, which does nothing and holds
nothing, so that reading goes on and the message can name all that stands in the file.

Nor can a small file cost much: the instructions, what is hashed and what is copied are bounded.
"""

import io
import mmap
import pickle
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from command_line.memory import memory_advice
from recognizers.errors import CheckpointError, shorten

MAX_INSTRUCTIONS = 5_000_000  # the published files have some ten thousand; an optimizer's state, a hundred thousand
LARGEST_KEY = 2**63
_SLACK = 1024  # bytes
_COPIED = (str, bytes, bytearray, memoryview, list, dict)
_KEYS = (str, int, bytes, bool, float, type(None))


class ForbiddenError(pickle.UnpicklingError):
    """The pickle asks for something that it is not given."""


class StandIn(ABC):
    """Takes the place of an object whose state the pickle holds."""

    @abstractmethod
    def build(self, state: Any) -> None:
        """What the object's `__setstate__` would do."""


class Foreign:
    """Stands in for whatever else a pickle names, and for what is made of it. It holds nothing but the name."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Instructions(dict[int, Any]):
    """The pickle machine's instructions, by opcode, counted as they are looked up."""

    left = MAX_INSTRUCTIONS

    def __getitem__(self, code: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ForbiddenError(f"more than {MAX_INSTRUCTIONS} instructions")
        if code not in self:
            raise pickle.UnpicklingError("it has an instruction that no pickle has")
        return super().__getitem__(code)


class RestrictedUnpickler(pickle._Unpickler):
    """The standard library's unpickler in Python: unlike the one in C, it lets us decide whom state may reach.

    Through the C one a file may set attributes of functions, and claim gigabytes for its memo.
    """

    stand_ins: ClassVar[Mapping[tuple[str, str], Any]]  # by module and name
    stack: list[Any]
    memo: dict[int, Any]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: io.BytesIO | mmap.mmap, *, size: int) -> None:
        """Reads a file in memory: reading cannot give more than it holds, whatever length the pickle declares.

        `size` is the file's, in bytes: no more than that is copied, however often the pickle names the same text.
        """
        super().__init__(file, encoding="latin1")
        self.dispatch = _Instructions(  # type: ignore[misc]
            (code, getattr(RestrictedUnpickler, load.__name__)) for code, load in pickle._Unpickler.dispatch.items()
        )
        self.size = size
        self.foreign: dict[str, None] = {}  # names, in their order
        self._copies_left = 2 * size + _SLACK  # Python 3 has bytes twice in Python 2's protocols: as text, then encoded

    def read_pickles(self, count: int, *, damaged: str) -> tuple[list[Any], list[str]]:
        """Reads pickles that follow each other.

        Returns:
            What they hold, and all that was refused; after a refusal there may be fewer.

        Raises:
            CheckpointError: the file is damaged; the message begins with `damaged`.
        """
        contents: list[Any] = []
        try:
            for _ in range(count):
                self.memo.clear()
                contents.append(self.load())
        except ForbiddenError as error:
            return contents, [str(error)]
        except Exception as error:  # a damaged pickle can fail in any instruction, with any exception
            if not self.foreign:
                raise CheckpointError(f"{damaged}: {_why_damaged(error)}") from error
        return contents, list(self.foreign)

    def find_class(self, module: str, name: str) -> Any:
        found = self.stand_ins.get((module, name))
        if found is None:
            found = Foreign(f"{shorten(module)}.{shorten(name)}")
            self.foreign.setdefault(found.name)
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")

    def get_extension(self, code: int) -> None:
        """The standard one would keep a stand-in for all of the process."""
        raise pickle.UnpicklingError("it refers to something outside the file")

    def load_global(self) -> None:
        module, name = self.readline(), self.readline()
        if not (module.endswith(b"\n") and name.endswith(b"\n")):
            raise EOFError("it ends within a name")
        self.stack.append(self.find_class(module[:-1].decode(), name[:-1].decode()))

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _instantiate(self, named: Any, arguments: Any) -> None:
        """What protocol 0 makes of a name and arguments."""
        self.stack.append(self._call(named, tuple(arguments)))

    def _call(self, called: Any, arguments: Any) -> Any:
        if isinstance(called, Foreign):
            return called
        self._charge(arguments)
        return called(*arguments)

    def load_newobj(self) -> None:
        self.stack.pop()
        if not isinstance(self.stack[-1], Foreign):
            raise ForbiddenError("an object that was never initialised")

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Foreign):
            return
        self._charge(state)
        if isinstance(target, StandIn):
            target.build(state)
        # Any other attribute would replace one of the dict's own methods.
        elif type(target) is not OrderedDict or type(state) is not dict or state.keys() - {"_metadata"}:
            raise ForbiddenError("state for something that takes none")

    def _charge(self, arguments: object) -> None:
        """Counts what a stand-in may copy: in an honest file each text is used once."""
        parts = arguments if type(arguments) is tuple else (arguments,)
        self._copies_left -= len(parts) + sum(len(part) for part in parts if isinstance(part, _COPIED))
        if self._copies_left < 0:
            raise ForbiddenError("the same bytes over and over")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set_items(items)

    def _set_items(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if type(target) in (dict, OrderedDict, Counter):
            set_items(target, zip(items[::2], items[1::2], strict=True))
        elif not isinstance(target, Foreign):
            raise ForbiddenError("entries of something other than a dict")

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Foreign):
            raise ForbiddenError("items of something other than a list")

    def load_additems(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise ForbiddenError("members of something other than a set")
        check_keys(items)
        self.stack[-1].update(items)

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        check_keys(items)
        self.stack.append(frozenset(items))

    def load_bytearray8(self) -> None:
        self.stack.append(self.read(int.from_bytes(self.read(8), "little")))


def check_keys(keys: Iterable[Any]) -> None:
    """Refuses what is not hashed at once: a pair of a pair, thirty deep and each of one thing twice, takes 2^30 steps."""
    for key in keys:
        if type(key) not in _KEYS or (type(key) is int and abs(key) >= LARGEST_KEY):
            raise ForbiddenError(f"a {type(key).__name__} as a name")


def set_items(target: dict[Any, Any], items: Iterable[tuple[Any, Any]]) -> None:
    """Fills a mapping under keys that are hashed at once."""
    for key, value in items:
        check_keys((key,))
        target[key] = value


def ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    """Stands in for `OrderedDict`; Python 2 hands it a list of pairs."""
    made: OrderedDict[Any, Any] = OrderedDict()
    if type(pairs) not in (list, tuple) or not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise ForbiddenError("an OrderedDict of something other than pairs")
    set_items(made, pairs)
    return made


def encode(text: Any, encoding: Any) -> bytes:
    """Stands in for `_codecs.encode`, by which Python 3 writes bytes in Python 2's protocols."""
    if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise ForbiddenError("text in another encoding than latin1")
    return text.encode("latin1")


def _why_damaged(error: Exception) -> str:
    """Why unpickling failed, in words. Of what the exception holds only text is printed: the rest is the file's."""
    if advice := memory_advice(error):
        return advice
    if isinstance(error, EOFError):
        return "it ends within"
    if isinstance(error, pickle.UnpicklingError) and error.args and type(error.args[0]) is str:
        return shorten(error.args[0])
    return f"its instructions make no sense ({type(error).__name__})"
