"""Label sets: the identities a closed-set recognizer can answer with, in class order."""

import csv
import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recognizers.errors import LabelSetError, UnknownIdentityError

VGGFACE2_METADATA = "identity_meta.csv"
LABELS = "labels.txt"


@dataclass(frozen=True)
class LabelSet:
    """The identities a recognizer can answer with; an identity's place is its class index.

    Raises:
        LabelSetError: the set is empty, or holds an empty or a repeated identity.
    """

    identities: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.identities:
            raise LabelSetError("a label set needs at least one identity, got none")
        first_place: dict[str, int] = {}
        for place, identity in enumerate(self.identities):
            if not identity or "\n" in identity:
                raise LabelSetError(f"class {place}: expected an identity on one line, got {identity!r}")
            if identity in first_place:
                raise LabelSetError(f"identity {identity!r} stands twice: classes {first_place[identity]} and {place}")
            first_place[identity] = place

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
    (Cao et al. 2018).

    Raises:
        LabelSetError: the file cannot be read or is neither; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelSetError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    try:
        if text.replace(" ", "").startswith("Class_ID,"):
            return LabelSet(_training_identities(text))
        # Not splitlines(), which would also break identities at rarer separators.
        return LabelSet(tuple(line.strip() for line in text.removesuffix("\n").split("\n")) if text else ())
    except (LabelSetError, csv.Error) as error:
        raise LabelSetError(f"{path}: {error}") from error


def _training_identities(text: str) -> tuple[str, ...]:
    header, *rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    columns = [name.strip() for name in header]
    if "Flag" not in columns:
        raise LabelSetError(f"expected the columns Class_ID and Flag of VGGFace2's metadata, got {', '.join(columns)}")
    identity_column, flag_column = columns.index("Class_ID"), columns.index("Flag")
    identities = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns) or row[flag_column].strip() not in {"0", "1"}:
            raise LabelSetError(f"line {number}: expected {len(columns)} columns with Flag 0 or 1, got {','.join(row)!r}")
        if row[flag_column].strip() == "1":
            identities.append(row[identity_column].strip())
    return tuple(sorted(identities))
