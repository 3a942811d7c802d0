"""Lists of pairs for verification: a probe, a reference of the same person, and maybe a picture of whom it is to pass for.

Two forms are read. A CSV table has the columns `probe` and `reference`, and where they are wanted `target` and `impostor`;
each value is a photo of the data set, IDENTITY/PHOTO. LFW's `pairs.txt` has its own: of its pairs of one person the first is
the reference and the second the probe, and people of its other pairs are impostors, unless they are in a pair of one person.

A person counts once, as everywhere in a run: of several pairs the first, because those of one person are not independent.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any, Self

from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet, Photo, canonical, printable
from orchestrator.faces.split import Split, SplitSizes

PROBE, REFERENCE, TARGET, IMPOSTOR = COLUMNS = ("probe", "reference", "target", "impostor")
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Pair:
    """Pictures of one person, and maybe one of another."""

    probe: Photo  # that is cloaked and searched
    reference: Photo  # that the probe is compared with
    target: Photo | None = None  # of whom the probe is to pass for

    @property
    def identity(self) -> str:
        """The person, in Unicode's normal form C."""
        return canonical(self.probe.identity)


@dataclass(frozen=True)
class PairList:
    """The pairs of a list, each of another person, and whom thresholds are calibrated on."""

    pairs: tuple[Pair, ...]  # in the order of the list
    impostors: tuple[Photo, ...]  # of people who are in no pair
    left_out: tuple[str, ...]  # sentences
    sha256: str  # of the list's file
    digests: Mapping[str, str] = field(repr=False)  # SHA-256 of each picture's file, by its name

    @property
    def has_targets(self) -> bool:
        """Whether all pairs have targets: else none has."""
        return any(pair.target is not None for pair in self.pairs)

    @cached_property
    def by_identity(self) -> Mapping[str, Pair]:
        """The pairs by person."""
        return {pair.identity: pair for pair in self.pairs}

    @property
    def people(self) -> frozenset[str]:
        """Everybody whom a probe is compared with."""
        return frozenset(
            canonical(photo.identity) for pair in self.pairs for photo in (pair.reference, pair.target) if photo is not None
        )

    def split(self, faces: DataSet) -> Split:
        """Whom started services enrol: the references; and whom they calibrate thresholds on."""
        impostors: dict[str, tuple[Photo, ...]] = {}
        for photo in self.impostors:
            identity = canonical(photo.identity)
            impostors[identity] = (*impostors.get(identity, ()), photo)
        return Split(
            sizes=SplitSizes(photos=1, impostors=len(impostors)),
            faces=faces,
            enrolled={pair.identity: (pair.reference,) for pair in self.pairs},
            impostors=impostors,
            non_mated=(),
            too_few=(),
        )

    def read(self, photo: Photo) -> bytes:
        """A picture of the list.

        Raises:
            InputError: it cannot be read any more, or has changed since the list was read.
        """
        try:
            encoded = photo.read()
        except OSError as error:
            raise InputError(f"--pairs: {photo.name}: cannot be read: {error.strerror or error}") from error
        if sha256(encoded).hexdigest() != self.digests[photo.name]:
            raise InputError(f"--pairs: {photo.name}: expected the picture that the run began with, got another")
        return encoded

    def stated(self) -> dict[str, Any]:
        """What a manifest states of it: whoever has the pictures can make the list again."""

        def picture(photo: Photo) -> dict[str, str]:
            return {"photo": photo.name, "sha256": self.digests[photo.name]}

        return {
            "list_sha256": self.sha256,
            "pairs": [
                {
                    PROBE: picture(pair.probe),
                    REFERENCE: picture(pair.reference),
                    **({} if pair.target is None else {TARGET: picture(pair.target)}),
                }
                for pair in self.pairs
            ],
            "impostors": [picture(photo) for photo in self.impostors],
        }


@dataclass(frozen=True)
class PairedProbes:
    """The people of a data set who are in a list, each with the probe of the list alone."""

    faces: DataSet
    pairs: PairList

    @cached_property
    def _probes(self) -> Mapping[str, Photo]:
        found = {}
        for identity in self.faces.identities:
            pair = self.pairs.by_identity.get(canonical(identity))
            for photo in self.faces.photos(identity) if pair is not None else ():
                if pair is not None and self._is(photo, pair.probe):
                    found[identity] = photo
        return found

    def _is(self, photo: Photo, probe: Photo) -> bool:
        """Whether it is the probe of the list: of kept cloaks the file has to be the one that they were made of."""
        is_named = printable(canonical(photo.file)) == printable(canonical(probe.file))
        return is_named and photo.sha256 in (None, self.pairs.digests[probe.name])

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self._probes)

    @property
    def skipped(self) -> tuple[str, ...]:
        return self.faces.skipped

    @property
    def synthetic(self) -> bool:
        return self.faces.synthetic

    def photos(self, identity: str) -> Sequence[Photo]:
        return [self._probes[identity]]

    def spelt(self, labels: Mapping[str, str]) -> Self:
        return type(self)(self.faces.spelt(labels), self.pairs)

    def card(self) -> Mapping[str, Any]:
        return self.faces.card()


@dataclass(frozen=True)
class _Line:
    """A line of a list, and the pictures that it names by their columns."""

    number: int
    pictures: Mapping[str, str]  # IDENTITY/PHOTO; LFW's without a suffix


def read_pairs(path: Path, faces: DataSet) -> PairList:
    """A list of pairs of a data set's photos; every picture is read once, for its digest.

    Raises:
        InputError: the list cannot be read, has a line that cannot be or no pair, or a picture is missing; the message names
            the line, what was expected and what came.
    """
    where = f"--pairs: {path}"
    try:
        encoded = path.read_bytes()
        text = encoded.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise InputError(f"{where}: expected text in UTF-8: {error}") from error
    is_lfw = _is_lfw(text)
    lines = list(_lfw_lines(text, where) if is_lfw else _csv_lines(text, where))
    photos = _Photos(faces, by_stem=is_lfw)
    found = [(line, photos.of(line, where)) for line in lines]
    pairs, left_out = _pairs(found, photos, where)
    impostors = _impostors(found, pairs, where, may_overlap=is_lfw)
    if is_lfw:
        others = {pictures[IMPOSTOR].name for _, pictures in found if IMPOSTOR in pictures}
        if overlapping := len(others) - len(impostors):
            left_out.append(f"{overlapping} pictures of people who are in a pair of one person, too: no impostors")
    used = {photo.name for pair in pairs for photo in (pair.probe, pair.reference, pair.target) if photo is not None}
    used |= {photo.name for photo in impostors}
    return PairList(
        tuple(pairs),
        tuple(impostors),
        tuple(left_out),
        sha256(encoded).hexdigest(),
        {name: digest for name, digest in photos.digests.items() if name in used},
    )


def _is_lfw(text: str) -> bool:
    """Whether it begins as LFW's lists do: with the number of pairs of each kind, and maybe that of folds before it."""
    first = next((line for line in text.splitlines() if line.strip()), "").split()
    return 1 <= len(first) <= 2 and all(each.isascii() and each.isdecimal() for each in first)


def _lfw_lines(text: str, where: str) -> Iterator[_Line]:
    """Pairs of one person, `name n1 n2`, and pairs of two, `name1 n1 name2 n2`, of which both people are impostors."""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    (_, header), rows = lines[0], lines[1:]
    *folds, each_kind = map(int, header)
    expected = 2 * each_kind * (folds[0] if folds else 1)
    if len(rows) != expected:
        raise InputError(f"{where}: expected {expected} pairs, as its first line says, got {len(rows)}")
    for number, row in rows:
        if len(row) == 3:
            name, reference, probe = row
            pictures = {REFERENCE: (name, reference), PROBE: (name, probe)}
            yield _Line(number, {column: _lfw_photo(*each, number, where) for column, each in pictures.items()})
        elif len(row) == 4:
            for name, picture in (row[:2], row[2:]):
                yield _Line(number, {IMPOSTOR: _lfw_photo(name, picture, number, where)})
        else:
            raise InputError(
                f"{where}, line {number}: expected a name and two numbers, or two names with a number after each, got "
                f"{len(row)} values"
            )


def _lfw_photo(name: str, number: str, line: int, where: str) -> str:
    if not (number.isascii() and number.isdecimal()):
        raise InputError(f"{where}, line {line}: expected the number of a picture of {name}, got {number}")
    return f"{name}/{name}_{int(number):04}"


def _csv_lines(text: str, where: str) -> Iterator[_Line]:
    """Lines with a probe, a reference and maybe a target, and lines with an impostor alone."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        unknown = [column for column in columns if column not in COLUMNS]
        lacking = [column for column in (PROBE, REFERENCE) if column not in columns]
        if unknown or lacking or len(set(columns)) < len(columns):
            raise InputError(
                f"{where}, line 1: expected the columns {PROBE} and {REFERENCE}, and if wanted {TARGET} and {IMPOSTOR}, "
                f"each once, got {', '.join(columns) or 'none'}"
            )
        for row in reader:
            number = reader.line_num
            values = [value.strip() for value in row]
            if not any(values):
                continue
            if len(values) != len(columns):
                raise InputError(f"{where}, line {number}: expected {len(columns)} values, got {len(values)}")
            named = {column: value for column, value in zip(columns, values, strict=True) if value}
            if set(named) not in ({PROBE, REFERENCE}, {PROBE, REFERENCE, TARGET}, {IMPOSTOR}):
                raise InputError(
                    f"{where}, line {number}: expected {PROBE} and {REFERENCE}, with or without {TARGET}, or {IMPOSTOR} "
                    f"alone, got {', '.join(named)}"
                )
            yield _Line(number, named)
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: expected a CSV table: {error}") from error


class _Photos:
    """The photos of a data set by IDENTITY/PHOTO, or without their suffix."""

    def __init__(self, faces: DataSet, *, by_stem: bool) -> None:
        self._faces = faces
        self._by_stem = by_stem
        self._found: dict[str, dict[str, Photo]] = {}  # of an identity, by file
        self.digests: dict[str, str] = {}  # by name

    def of(self, line: _Line, where: str) -> dict[str, Photo]:
        """The pictures that a line names, by column."""
        return {column: self._photo(text, column, f"{where}, line {line.number}") for column, text in line.pictures.items()}

    def _photo(self, text: str, column: str, where: str) -> Photo:
        identity, _, file = canonical(text).rpartition("/")
        photo = self._of_identity(identity).get(file) if identity in self._faces.identities else None
        if photo is None:
            raise InputError(f"{where}: {column}: expected a photo of --faces, IDENTITY/PHOTO, got {text}, which it has not")
        if printable(identity) != identity or not identity.isprintable():
            raise InputError(f"{where}: {column}: expected a name that can be printed, got {printable(identity)!a}")
        if photo.name not in self.digests:
            try:
                self.digests[photo.name] = sha256(photo.read()).hexdigest()
            except OSError as error:
                raise InputError(f"{where}: {column}: {photo.name}: cannot be read: {error.strerror or error}") from error
        return photo

    def _of_identity(self, identity: str) -> Mapping[str, Photo]:
        if identity not in self._found:
            self._found[identity] = {
                PurePath(canonical(photo.file)).stem if self._by_stem else canonical(photo.file): photo
                for photo in self._faces.photos(identity)
            }
        return self._found[identity]


def _pairs(found: Iterable[tuple[_Line, Mapping[str, Photo]]], photos: _Photos, where: str) -> tuple[list[Pair], list[str]]:
    """The first pair of each person, and a sentence on the others."""
    pairs: dict[str, Pair] = {}
    further: list[str] = []
    for line, pictures in found:
        if IMPOSTOR in pictures:
            continue
        pair = Pair(pictures[PROBE], pictures[REFERENCE], pictures.get(TARGET))
        _check_pair(pair, photos.digests, f"{where}, line {line.number}")
        if pair.identity in pairs:
            further.append(f"line {line.number} ({printable(pair.identity)})")
        pairs.setdefault(pair.identity, pair)
    if not pairs:
        raise InputError(f"{where}: expected at least one pair of pictures of one person, got none")
    without = sum(pair.target is None for pair in pairs.values())
    if 0 < without < len(pairs):
        raise InputError(f"{where}: expected a {TARGET} in every pair or in none, got {without} of {len(pairs)} without one")
    if not further:
        return list(pairs.values()), []
    named = ", ".join(further[:NAMES_SHOWN]) + (", ..." if len(further) > NAMES_SHOWN else "")
    return list(pairs.values()), [f"{len(further)} further pairs of people whose first pair counts: {named}"]


def _check_pair(pair: Pair, digests: Mapping[str, str], where: str) -> None:
    if canonical(pair.reference.identity) != pair.identity:
        raise InputError(
            f"{where}: {REFERENCE}: expected another picture of {printable(pair.identity)}, the person of the {PROBE}, got "
            f"{pair.reference.name}"
        )
    if pair.target is not None and canonical(pair.target.identity) == pair.identity:
        raise InputError(
            f"{where}: {TARGET}: expected a picture of somebody else than {printable(pair.identity)}, got {pair.target.name}"
        )
    for column, other in ((REFERENCE, pair.reference), (TARGET, pair.target)):
        if other is not None and digests[other.name] == digests[pair.probe.name]:
            raise InputError(
                f"{where}: {column}: expected another picture than the {PROBE}, got the same file: {other.name}"
            )


def _impostors(
    found: Iterable[tuple[_Line, Mapping[str, Photo]]], pairs: Sequence[Pair], where: str, *, may_overlap: bool
) -> list[Photo]:
    """The pictures of impostors, each once. `may_overlap`: of people in pairs they are left out, and no error."""
    in_pairs = {pair.identity for pair in pairs} | {canonical(pair.target.identity) for pair in pairs if pair.target}
    impostors: dict[str, Photo] = {}
    for line, pictures in found:
        photo = pictures.get(IMPOSTOR)
        if photo is None:
            continue
        if canonical(photo.identity) not in in_pairs:
            impostors.setdefault(photo.name, photo)
        elif not may_overlap:
            raise InputError(
                f"{where}, line {line.number}: {IMPOSTOR}: expected somebody who is in no pair, got {photo.name}: "
                f"thresholds are calibrated on people who are not compared in the run"
            )
    return list(impostors.values())
