"""Labels files: which identity each class of a checkpoint is."""

import codecs
import csv
import io
from pathlib import Path

from recognizers.errors import LabelSetError, shorten
from recognizers.networks.label_set import LabelSet, check_distinct

LABELS = "labels.txt"
VGGFACE2_METADATA = "identity_meta.csv"
_IDENTITY, _FLAG = "Class_ID", "Flag"
_DELIMITERS = (",", ";", "\t")  # spreadsheets write the latter two

_Lines = list[tuple[int, str]]  # line numbers and identities


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
        training = _training_identities(text)
        lines = _lines(text) if training is None else training
        identities = tuple(identity for _, identity in lines)
        check_distinct(identities, lines=[number for number, _ in lines])
        return LabelSet(identities)
    except (LabelSetError, csv.Error) as error:
        raise LabelSetError(f"{path}: {error}") from error


def _lines(text: str) -> _Lines:
    # Not splitlines(), which would also break identities at rarer separators.
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for index, line in enumerate(lines):
        if not line:
            raise LabelSetError(f"line {index + 1} is blank: expected the identity of class {index}; remove the line")
    return list(enumerate(lines, start=1))


def _training_identities(text: str) -> _Lines | None:
    """The identities of VGGFace2's metadata, sorted; None of any other text."""
    header = text.partition("\n")[0]
    for delimiter in _DELIMITERS:
        columns = [column.strip().strip('"') for column in header.split(delimiter)]
        if _IDENTITY in columns and len(columns) > 1:
            return _flagged(text, columns, delimiter)
    return None


def _flagged(text: str, columns: list[str], delimiter: str) -> _Lines:
    if _FLAG not in columns:
        raise LabelSetError(f"expected the columns {_IDENTITY} and {_FLAG} of VGGFace2's metadata, got {', '.join(columns)}")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows = [(reader.line_num, [field.strip() for field in row]) for row in reader][1:]
    while rows and not any(rows[-1][1]):
        rows.pop()
    for number, row in rows:
        if len(row) != len(columns) or row[columns.index(_FLAG)] not in {"0", "1"}:
            raise LabelSetError(
                f"line {number}: expected {len(columns)} columns with {_FLAG} 0 or 1, got '{shorten(delimiter.join(row))}'"
            )
    training = [(number, row[columns.index(_IDENTITY)]) for number, row in rows if row[columns.index(_FLAG)] == "1"]
    return sorted(training, key=lambda line: (line[1], line[0]))
