"""Label sets: the identities a closed-set recognizer can answer with, in class order."""

import codecs
import csv
import hashlib
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recognizers.errors import LabelSetError, UnknownIdentityError, shorten

VGGFACE2_METADATA = "identity_meta.csv"
LABELS = "labels.txt"
_IDENTITY = "Class_ID"
_DELIMITERS = (",", ";", "\t")  # spreadsheets write the latter two


@dataclass(frozen=True)
class LabelSet:
    """The identities a recognizer can answer with; an identity's place is its class index.

    Raises:
        LabelSetError: the set is empty, or holds an empty or a repeated identity. Identities that are the same in Unicode's
            form NFC are one: the names of folders are compared so.
    """

    identities: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.identities:
            raise LabelSetError("a label set needs at least one identity, got none")
        for place, identity in enumerate(self.identities):
            if not identity or "\n" in identity:
                raise LabelSetError(f"class {place}: expected an identity on one line, got {identity!r}")
        if repeated := _repeated(self.identities):
            raise LabelSetError(_twice(self.identities, repeated))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {identity: place for place, identity in enumerate(self.identities)}

    def __len__(self) -> int:
        return len(self.identities)

    def __contains__(self, identity: object) -> bool:
        return identity in self._places

    def index(self, identity: str) -> int:
        """Class index of an identity.

        Raises:
            UnknownIdentityError: the label set does not hold it.
        """
        try:
            return self._places[identity]
        except KeyError:
            raise UnknownIdentityError(f"identity {identity!r} is not among the {len(self)} of the label set") from None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the identities in class order, UTF-8, joined by line feeds."""
        return hashlib.sha256("\n".join(self.identities).encode()).hexdigest()


def _repeated(identities: Sequence[str]) -> tuple[int, int] | None:
    """The places of the first identity that stands twice."""
    first: dict[str, int] = {}
    for place, identity in enumerate(identities):
        if (earlier := first.setdefault(unicodedata.normalize("NFC", identity), place)) != place:
            return earlier, place
    return None


def _twice(identities: Sequence[str], places: tuple[int, int]) -> str:
    first, second = (identities[place] for place in places)
    spelt = "" if first == second else f" (as {first!a} and as {second!a}, which are one in Unicode's form NFC)"
    return f"identity {first!r} stands twice{spelt}: classes {places[0]} and {places[1]}"


def find_labels_file(checkpoint: Path) -> Path | None:
    """The labels file that belongs to a checkpoint, or None.

    Looked for beside it, in this order: `NAME.labels.txt` (NAME is the checkpoint's without its ending), `labels.txt`,
    `identity_meta.csv`.
    """
    candidates = (f"{checkpoint.stem}.labels.txt", LABELS, VGGFACE2_METADATA)
    paths = (checkpoint.with_name(name) for name in candidates)
    return next((path for path in paths if path.is_file()), None)


def read_labels(path: Path) -> LabelSet:
    """Reads a label set from a labels file (one identity a line) or VGGFace2's `identity_meta.csv`.

    Of the latter the training identities (Flag = 1) are taken, sorted: the class order of the published recognizers
    (Cao et al. 2018). It may be quoted, and separated by commas, semicolons or tabs. Blank lines at the end are no lines.

    Raises:
        LabelSetError: the file cannot be read or is neither; the message names the line.
    """
    try:
        content = path.read_bytes()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise LabelSetError(f"{path}: is text in UTF-16, as Excel and PowerShell write it; save it as UTF-8")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelSetError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    try:
        delimiter = next((mark for mark in _DELIMITERS if len(_header(text, mark)) > 1), None)
        lines = _lines(text) if delimiter is None else _training_identities(text, delimiter)
        _check_distinct(lines)
        return LabelSet(tuple(identity for _, identity in lines))
    except (LabelSetError, csv.Error) as error:
        raise LabelSetError(f"{path}: {error}") from error


def _check_distinct(lines: Sequence[tuple[int, str]]) -> None:
    identities = [identity for _, identity in lines]
    if repeated := _repeated(identities):
        numbers = " and ".join(str(lines[place][0]) for place in repeated)
        raise LabelSetError(f"{_twice(identities, repeated)}, lines {numbers}")


def _lines(text: str) -> list[tuple[int, str]]:
    """The identities of a labels file, each with the number of its line."""
    # Not splitlines(), which would also break identities at rarer separators.
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for place, line in enumerate(lines):
        if not line:
            raise LabelSetError(f"line {place + 1} is blank: expected the identity of class {place}; remove the line")
    return list(enumerate(lines, start=1))


def _header(text: str, delimiter: str) -> list[str]:
    """The columns of VGGFace2's metadata; of any other text, none."""
    try:
        columns = [name.strip() for name in next(_rows(text, delimiter), [])]
    except csv.Error:
        return []
    return columns if _IDENTITY in columns else []


def _rows(text: str, delimiter: str) -> Any:
    """A csv reader, whose class has no public name."""
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def _training_identities(text: str, delimiter: str) -> list[tuple[int, str]]:
    """Identities with the numbers of their lines, sorted by identity."""
    columns = _header(text, delimiter)
    if "Flag" not in columns:
        raise LabelSetError(f"expected the columns Class_ID and Flag of VGGFace2's metadata, got {', '.join(columns)}")
    identity_column, flag_column = columns.index(_IDENTITY), columns.index("Flag")
    reader = _rows(text, delimiter)
    rows = [(reader.line_num, [field.strip() for field in row]) for row in reader][1:]
    while rows and not any(rows[-1][1]):
        rows.pop()
    identities = []
    for number, row in rows:
        if len(row) != len(columns) or row[flag_column] not in {"0", "1"}:
            raise LabelSetError(
                f"line {number}: expected {len(columns)} columns with Flag 0 or 1, got '{shorten(delimiter.join(row))}'"
            )
        if row[flag_column] == "1":
            identities.append((row[identity_column], number))
    return [(number, identity) for identity, number in sorted(identities)]
