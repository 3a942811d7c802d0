"""Pickles of numbers are read; everything else is refused, and nothing a pickle names is ever called."""

import copyreg
import datetime
import itertools
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings
from numpy.typing import NDArray

from recognizers.checkpoints import restricted_unpickler
from recognizers.checkpoints.numpy_pickle import read_numpy_pickle
from recognizers.errors import CheckpointError
from tests.support.pickles import array_opcodes, byte_string, dtype_opcodes, integer, pickled, python2_pickle

Array = NDArray[Any]

NUMBER_TYPES = ["f2", "f4", "f8", "i4", "i8", "u1", "u2", "?", ">f4", ">f2", ">i8"]


def named(value: bytes) -> bytes:
    """A pickle of {"a": value}, the value given by its opcodes."""
    return pickled(b"}" + byte_string(b"a") + value + b"s")


THREE_NUMBERS = np.array([1.5, -2.0, 3.25], np.float32)
SHAPE_OF_THREE = b"K\x03\x85"
FLOATS = dtype_opcodes("f4", "<")


def array_of_three(*, dtype: bytes = FLOATS, shape: bytes = SHAPE_OF_THREE) -> bytes:
    return array_opcodes(dtype=dtype, shape=shape, raw=byte_string(THREE_NUMBERS.tobytes()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pickles")


def read_all(folder: Path, content: bytes) -> dict[tuple[str, ...], dict[str, Array]]:
    path = folder / "arrays.pkl"
    path.write_bytes(content)
    return read_numpy_pickle(path)


def read(folder: Path, content: bytes) -> dict[str, Array]:
    """The arrays of the dict itself."""
    return read_all(folder, content)[()]


def same(ours: Array, expected: Array) -> bool:
    native = expected.dtype.newbyteorder("=")
    return bool(ours.dtype == native and ours.shape == expected.shape and np.array_equal(ours, expected))


@pytest.mark.parametrize("number_type", NUMBER_TYPES)
def test_arrays_as_python_2_wrote_them_are_read(folder: Path, number_type: str) -> None:
    array = (np.arange(300) % 100).astype(number_type).reshape(3, 100)
    content = python2_pickle({"a": array, "b.weight": array[:1, :1]})
    expected: Any = pickle.loads(content, encoding="latin1")
    assert np.array_equal(expected["a"], array), "the pickle is not what numpy would read"
    arrays = read(folder, content)
    assert list(arrays) == ["a", "b.weight"]
    assert same(arrays["a"], array)
    assert same(arrays["b.weight"], array[:1, :1])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number_type", NUMBER_TYPES)
def test_arrays_as_this_numpy_writes_them_are_read(folder: Path, number_type: str, protocol: int) -> None:
    array = (np.arange(300) % 100).astype(number_type).reshape(3, 100)
    assert same(read(folder, pickle.dumps({"a": array}, protocol))["a"], array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(12.0)[::2],
        np.array(3.5),
        np.array(7, np.int64),
        np.float32(2.5),
        np.zeros((0, 3), np.float16),
        np.zeros(0),
        np.broadcast_to(np.array(1.5), (2, 3)),
        np.array([np.nan, np.inf, -0.0]),
    ],
    ids=[
        "fortran",
        "transposed",
        "strided",
        "0-d",
        "0-d integer",
        "scalar",
        "empty",
        "empty 1-d",
        "read-only",
        "not finite",
    ],
)
def test_shapes_and_memory_orders_survive(folder: Path, array: Array, protocol: int) -> None:
    ours = read(folder, pickle.dumps({"a": array}, protocol))["a"]
    assert ours.dtype == array.dtype
    assert ours.shape == array.shape
    assert np.array_equal(ours, array, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(array))


def test_an_ordered_dict_is_a_dict_too(folder: Path) -> None:
    assert list(read(folder, pickle.dumps(OrderedDict(a=THREE_NUMBERS, b=THREE_NUMBERS[:2]), 2))) == ["a", "b"]


@pytest.mark.parametrize("wrap", [dict, OrderedDict])
def test_of_a_dict_that_wraps_others_only_their_arrays_are_kept(folder: Path, wrap: Any) -> None:
    content = wrap(
        state_dict=wrap(a=THREE_NUMBERS, b=THREE_NUMBERS[:2]), epoch=3, best=np.float32(0.5), log={"losses": [1.5]}
    )
    found = read_all(folder, pickle.dumps(content, 2))
    assert {keys: list(arrays) for keys, arrays in found.items()} == {(): ["best"], ("state_dict",): ["a", "b"]}
    assert same(found["state_dict",]["b"], THREE_NUMBERS[:2])


def test_a_dict_that_holds_itself_is_read_once(folder: Path) -> None:
    content: dict[str, Any] = {"state_dict": {"a": THREE_NUMBERS}}
    content["state_dict"]["again"] = content
    found = read_all(folder, pickle.dumps(content, 2))
    assert {keys: list(arrays) for keys, arrays in found.items()} == {("state_dict",): ["a"]}


class Shell:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_the_system_is_refused_and_calls_nothing(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps({"a": THREE_NUMBERS, "b": Shell(f"touch '{canary}'")}, protocol)
    with pytest.raises(CheckpointError, match=r"system.*refused, nothing of it was executed"):
        read(tmp_path, content)
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists(), "the pickle is harmless, so the test proves nothing"


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a", None], object),
        np.array([{}], object),
        np.array(["text"]),
        np.array([b"text"]),
        np.zeros(2, [("a", "f4"), ("b", "i4")]),
        np.zeros(2, "V4"),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1], "m8[s]"),
        np.array([1j]),
        np.float32,
        np.ndarray,
        np.dtype("f4"),
        Path,
        print,
        os.system,
        Fraction(1, 2),
        Decimal(1),
        datetime.date(2020, 1, 1),
        np.random.default_rng(0),
        np.ma.masked_array([1.0], [True]),
        [THREE_NUMBERS],
        {"nested": THREE_NUMBERS},
        (),
        None,
        1.5,
        "text",
        b"bytes",
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_a_value_that_is_no_numeric_array_is_refused(folder: Path, value: object, protocol: int) -> None:
    with pytest.raises(CheckpointError):
        read(folder, pickle.dumps({"a": THREE_NUMBERS, "b": value}, protocol))


@pytest.mark.parametrize(
    "content", [THREE_NUMBERS, [THREE_NUMBERS], "text", 7, None, {1: THREE_NUMBERS}, {b"a": THREE_NUMBERS}]
)
def test_content_that_is_no_dict_of_names_is_refused(folder: Path, content: object) -> None:
    with pytest.raises(CheckpointError, match="expected a dict of name -> "):
        read(folder, pickle.dumps(content, 2))


def test_the_opcodes_that_the_refusals_below_vary_are_a_valid_array(folder: Path) -> None:
    assert same(read(folder, named(array_of_three()))["a"], THREE_NUMBERS)
    assert same(pickle.loads(named(array_of_three()), encoding="latin1")["a"], THREE_NUMBERS)


NUMBER_FIELD = b"}" + byte_string(b"x") + FLOATS + b"K\x00\x86s"
OBJECT_FIELD = b"}" + byte_string(b"x") + dtype_opcodes("O8", "|") + b"K\x00\x86s"


@pytest.mark.parametrize(
    "value",
    [
        array_of_three(dtype=dtype_opcodes("O8", "|")),
        array_of_three(dtype=dtype_opcodes("O", "|", flags=63)),
        array_of_three(dtype=dtype_opcodes("V4", "|", names=byte_string(b"x") + b"\x85", fields=OBJECT_FIELD)),
        array_of_three(dtype=dtype_opcodes("f4", "<", names=byte_string(b"x") + b"\x85", fields=OBJECT_FIELD)),
        array_of_three(dtype=dtype_opcodes("f4", "<", names=byte_string(b"x") + b"\x85", fields=NUMBER_FIELD)),
        array_of_three(dtype=dtype_opcodes("f4", "<", fields=NUMBER_FIELD)),
        array_of_three(dtype=dtype_opcodes("f4", "<", subarray=dtype_opcodes("O8", "|") + b"K\x01\x85\x86")),
        array_of_three(dtype=dtype_opcodes("f4", "<", subarray=FLOATS + b"K\x01\x85\x86")),
        array_of_three(dtype=dtype_opcodes("f4", "sideways")),
        array_of_three(dtype=dtype_opcodes("f4,O", "<")),
        array_of_three(dtype=dtype_opcodes("3f4", "<")),
        array_of_three(dtype=dtype_opcodes("no such type", "<")),
        array_of_three(dtype=b"cnumpy\ndtype\n" + byte_string(b"f4") + b"K\x00K\x01\x87R" + b")b"),
        array_of_three(dtype=b"cnumpy\ndtype\n"),
        array_of_three(dtype=byte_string(b"f4")),
        array_of_three(dtype=b"N"),
        array_of_three(dtype=b"cnumpy\ndtype\n)\x81"),
    ],
    ids=[
        "objects",
        "objects by flags",
        "a structure of objects",
        "numbers with fields of objects",
        "numbers with fields of numbers",
        "fields without names",
        "a subarray of objects",
        "a subarray of numbers",
        "an unknown byte order",
        "a structure by its code",
        "a subarray by its code",
        "an unknown code",
        "an empty state",
        "the class of dtypes",
        "a string",
        "None",
        "a dtype never initialised",
    ],
)
def test_a_dtype_whose_code_or_state_is_malicious_is_refused(folder: Path, value: bytes) -> None:
    with pytest.raises(CheckpointError):
        read(folder, named(value))


def test_numbers_whose_flags_declare_them_objects_stay_numbers(folder: Path) -> None:
    """The flags of a dtype's state are what makes numpy follow bytes as pointers."""
    array = read(folder, named(array_of_three(dtype=dtype_opcodes("f4", "<", flags=63))))["a"]
    assert same(array, THREE_NUMBERS)
    assert not array.dtype.hasobject


@pytest.mark.parametrize(
    "shape",
    [
        b"K\x04\x85",
        b"K\x02\x85",
        b")",
        b"K\x00\x85",
        b"K\x03K\x02\x86",
        integer(2**31 - 1) + b"\x85",
        integer(-3) + b"\x85",
        b"K\x03" + integer(2**30) + integer(2**30) + b"\x87",
        b"N",
        byte_string(b"3"),
        byte_string(b"3") + b"\x85",
    ],
    ids=[
        "longer",
        "shorter",
        "none",
        "empty",
        "two-dimensional",
        "gigantic",
        "negative",
        "overflowing",
        "None",
        "text",
        "text inside",
    ],
)
def test_an_array_state_that_lies_about_its_length_is_refused(folder: Path, shape: bytes) -> None:
    with pytest.raises(CheckpointError):
        read(folder, named(array_of_three(shape=shape)))


@pytest.mark.parametrize(
    "value",
    [
        array_opcodes(dtype=FLOATS, shape=b"K\x03\x85", raw=byte_string(b"\x00" * 11)),
        array_opcodes(dtype=FLOATS, shape=b"K\x03\x85", raw=b"]"),
        array_opcodes(dtype=FLOATS, shape=b"K\x03\x85", raw=b"N"),
        array_of_three().replace(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"),
        array_of_three().replace(b"cnumpy\nndarray\n", b"cnumpy\nmatrix\n"),
        array_of_three().removesuffix(b"b") + b"0",
        array_of_three() + b")b",
        b"cnumpy\nndarray\n",
        b"cnumpy\nndarray\n)\x81",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"c_codecs\nencode\n" + byte_string(b"a") + byte_string(b"utf-8") + b"\x86R",
        b"c_codecs\nencode\n" + byte_string(b"a") + byte_string(b"latin1") + b"\x86R",
        b"c_codecs\ndecode\n",
        b"cbuiltins\neval\n" + byte_string(b"1") + b"\x85R",
        b"c__builtin__\neval\n" + byte_string(b"1") + b"\x85R",
        b"ios\nsystem\n",
        b"(" + byte_string(b"true") + b"ios\nsystem\n",
        b"P1\n",
        byte_string(b"1") + b"Q",
        b"\x82\x01",
        b"\x97",
    ],
    ids=[
        "bytes cut short",
        "a list of values",
        "no bytes",
        "not an ndarray",
        "a matrix",
        "an array never filled",
        "an empty second state",
        "the class of arrays",
        "an array never initialised",
        "the function that makes arrays",
        "another encoding",
        "mere bytes",
        "another codec function",
        "eval",
        "eval of Python 2",
        "an instance",
        "an instance with arguments",
        "a persistent id",
        "a persistent id from the stack",
        "an extension code",
        "a buffer outside the file",
    ],
)
def test_anything_else_that_a_pickle_can_ask_for_is_refused(folder: Path, value: bytes) -> None:
    with pytest.raises(CheckpointError):
        read(folder, named(value))


def test_a_dict_that_replaces_its_own_methods_is_refused(folder: Path) -> None:
    """An OrderedDict takes attributes: here `get` becomes a function that wants other arguments."""
    with pytest.raises(CheckpointError):
        read(folder, pickled(b"ccollections\nOrderedDict\n)R}" + byte_string(b"get") + b"c_codecs\nencode\nsb"))


def test_a_key_too_deep_to_print_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError):
        read(folder, pickled(b"})" + b"\x85" * 3000 + b"Ns"))


PAIRS = b"N" + b"2\x86" * 60  # a pair of a pair ..., each of one thing twice: 2^60 things to hash, to compare or to print


@pytest.mark.parametrize(
    "opcodes",
    [
        b"}" + PAIRS + b"K\x01s",
        b"}(" + PAIRS + b"K\x01u",
        b"(" + PAIRS + b"K\x01d",
        b"ccollections\nOrderedDict\n](](" + PAIRS + b"K\x01ee\x85R",
        b"\x8f(" + PAIRS + b"\x90",
        b"(" + PAIRS + b"\x91",
        b"}" + b"\x8a\x14" + b"\x01" * 20 + b"K\x01s",
        PAIRS,
        b"}" + byte_string(b"a") + PAIRS + b"s",
        b"cnumpy\ndtype\n" + PAIRS + b"\x85R",
        b"c_codecs\nencode\n" + byte_string(b"a") + PAIRS + b"\x86R",
        b"cnumpy.core.numeric\n_frombuffer\n(" + byte_string(b"") + FLOATS + b"K\x00\x85" + PAIRS + b"tR",
    ],
    ids=[
        "a key",
        "keys",
        "a dict",
        "an OrderedDict",
        "a member of a set",
        "a member of a frozenset",
        "a number of many digits",
        "the content",
        "a value",
        "a dtype's code",
        "an encoding",
        "a memory order",
    ],
)
def test_a_few_bytes_do_not_cost_an_age(folder: Path, opcodes: bytes) -> None:
    with pytest.raises(CheckpointError) as refused:
        read(folder, pickled(opcodes))
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("field", ["order", "subarray", "names", "fields"])
def test_nor_does_the_state_of_a_dtype(folder: Path, field: str) -> None:
    state = {"order": byte_string(b"<"), "subarray": b"N", "names": b"N", "fields": b"N"} | {field: PAIRS}
    made = b"cnumpy\ndtype\n" + byte_string(b"f4") + b"K\x00K\x01\x87R"
    dtype = made + b"(K\x03" + b"".join(state.values()) + integer(-1) * 2 + integer(0) + b"tb"
    with pytest.raises(CheckpointError):
        read(folder, named(array_of_three(dtype=dtype)))


def test_the_same_bytes_are_not_copied_over_and_over(folder: Path) -> None:
    """Each array takes a few bytes of the file, and would have all of the memoised ones for its own."""
    raw, count = b"T" + struct.pack("<i", 40_000) + bytes(40_000) + b"q\x01", 1000
    opcodes = b"}" + byte_string(b"a") + raw + b"s"
    for number in range(count):
        again = array_opcodes(dtype=dtype_opcodes("u1", "|"), shape=integer(40_000) + b"\x85", raw=b"h\x01")
        opcodes += byte_string(str(number).encode()) + again + b"s"
    with pytest.raises(CheckpointError, match="the same bytes over and over"):
        read(folder, pickled(opcodes))


def test_a_pickle_has_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte may be an empty list, which takes fifty in memory."""
    monkeypatch.setattr(restricted_unpickler._Instructions, "left", 1000)
    with pytest.raises(CheckpointError, match="instructions"):
        read(folder, pickled(b"]" * 2000))


def test_a_name_of_a_file_s_choosing_is_printed_short_and_on_one_line(folder: Path) -> None:
    with pytest.raises(CheckpointError) as refused:
        read(folder, pickled(b"cevil\r\n" + b"x" * 100_000 + b"\n"))
    assert len(str(refused.value)) < 400
    assert "\r" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\x80\x02v.", b"v", b"\x80\x02}r."])
def test_damage_is_told_in_words(folder: Path, content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"truncated or damaged one: (it |its )"):
        read(folder, content)


def test_extension_codes_of_the_process_get_no_stand_in(folder: Path) -> None:
    """A library may have given a number to a class; the standard unpickler keeps what it finds for it, for all to come."""
    copyreg.add_extension("collections", "OrderedDict", 0xBEEF)
    try:
        with pytest.raises(CheckpointError):
            read(folder, named(b"\x83\xef\xbe"))
        assert type(pickle.loads(b"\x80\x02\x83\xef\xbe)R.")) is OrderedDict
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 0xBEEF)


def test_a_pickle_leaves_nothing_behind(folder: Path) -> None:
    """Functions take attributes, defaults among them: one file's must not decide what the next file may hold."""
    encoded = b"c_codecs\nencode\n" + byte_string(THREE_NUMBERS.tobytes()) + b"\x85R"
    without_encoding = named(array_opcodes(dtype=FLOATS, shape=SHAPE_OF_THREE, raw=encoded))
    with pytest.raises(CheckpointError):
        read(folder, without_encoding)
    defaults = b"}" + byte_string(b"__defaults__") + byte_string(b"latin1") + b"\x85s"
    with pytest.raises(CheckpointError):
        read(folder, named(b"c_codecs\nencode\n" + b"N" + defaults + b"\x86b"))
    with pytest.raises(CheckpointError):
        read(folder, without_encoding)


@pytest.mark.parametrize(
    "value",
    [b"Nr" + struct.pack("<I", 2**21), b"\x96" + struct.pack("<Q", 2**25)],
    ids=["an entry of the memo", "a byte array"],
)
def test_a_few_bytes_do_not_claim_much_memory(folder: Path, value: bytes) -> None:
    """Both are named by a number, below which everything may be allotted and filled, whatever the file then holds."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read(folder, named(value))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**22


VALID: Mapping[str, Array] = {
    "conv1.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bn1.bias": np.arange(2, dtype=np.float64),
}
VALID_PICKLES = [python2_pickle(VALID), *(pickle.dumps(dict(VALID), protocol) for protocol in (0, 2, 4, 5))]


def check_numbers_or_refusal(folder: Path, content: bytes) -> None:
    try:
        state_dicts = read_all(folder, content)
    except CheckpointError:
        return
    for name, array in itertools.chain.from_iterable(arrays.items() for arrays in state_dicts.values()):
        assert isinstance(name, str)
        assert isinstance(array, np.ndarray)
        assert array.dtype.kind in "biuf"
        assert array.nbytes <= len(content)


@pytest.mark.parametrize("content", VALID_PICKLES)
def test_the_pickles_that_are_mutated_below_are_valid(folder: Path, content: bytes) -> None:
    arrays = read(folder, content)
    assert arrays.keys() == VALID.keys()
    assert all(same(arrays[name], array) for name, array in VALID.items())


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\x80\x02")
@example(b"N.")
def test_random_bytes_give_numbers_or_a_refusal(folder: Path, content: bytes) -> None:
    check_numbers_or_refusal(folder, content)


@settings(deadline=None)
@given(
    st.sampled_from(VALID_PICKLES),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    st.none() | st.integers(0, 10_000),
)
def test_a_mutated_pickle_gives_numbers_or_a_refusal(
    folder: Path, valid: bytes, changes: list[tuple[int, int]], length: int | None
) -> None:
    content = bytearray(valid)
    for place, byte in changes:
        content[place % len(content)] = byte
    if length is not None:
        del content[length % len(content) :]
    check_numbers_or_refusal(folder, bytes(content))


@pytest.mark.parametrize("content", VALID_PICKLES)
def test_a_pickle_cut_short_anywhere_is_refused(folder: Path, content: bytes) -> None:
    for length in range(len(content)):
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            read(folder, content[:length])
