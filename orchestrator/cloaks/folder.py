"""Folders of finished cloaks: which file is the cloak of which clean photo.

The layout is METHOD/IDENTITY/PHOTO, where PHOTO has the name of the clean photo, or that name with another suffix: many
tools write PNG for JPEG. Where a folder has another layout, a table says which file is which.
"""

import csv
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from orchestrator.errors import InputError
from orchestrator.experiment.grid import ENSEMBLE, is_control
from orchestrator.faces.data_set import DataSet, canonical, file_name_of, printable, text_of
from orchestrator.faces.folder import listed, read_face_folder
from orchestrator.faces.labels import nearest

COLUMNS = ("method", "identity", "photo", "cloak")  # of a table of names
RESERVED = (ENSEMBLE, "/", ",")  # in names of methods
MAX_NAME = 100  # characters


class PhotoKey(NamedTuple):
    """A clean photo."""

    identity: str  # in Unicode's normal form C
    file: str


@dataclass(frozen=True)
class CloakFiles:
    """The files of finished cloaks, by method and clean photo, and what is of no use."""

    files: Mapping[str, Mapping[PhotoKey, Path]]
    skipped: tuple[str, ...]  # METHOD/IDENTITY/PHOTO or a file, with the reason


def read_cloak_folder(root: Path, faces: DataSet, *, methods: Sequence[str] | None) -> CloakFiles:
    """The cloaks in METHOD/IDENTITY/PHOTO; `methods`: those that count, all by default. No file is opened.

    Raises:
        InputError: there are none, or a method is missing or has an impossible name.
    """
    entries = _entries(root)
    folders = {text_of(entry.name): Path(entry.path) for entry in entries if entry.is_dir()}
    loose = [printable(text_of(entry.name)) for entry in entries if not entry.is_dir()]
    skipped = [f"{name} (not in the folder of a method)" for name in loose]
    files: dict[str, dict[PhotoKey, Path]] = {}
    for method in _chosen(sorted(folders), methods, root):
        _check_layout(method, folders[method], root)
        found = read_face_folder(folders[method], option="--cloaks")
        skipped += [f"{method}/{each}" for each in found.skipped]
        files[method] = {}
        for identity, names in found.names.items():
            folder = folders[method] / file_name_of(found.folders[identity])
            clean = [photo.file for photo in faces.photos(identity)] if identity in faces.identities else []
            matched = dict(_matched(clean, names))
            files[method] |= {PhotoKey(identity, file): folder / file_name_of(name) for file, name in matched.items()}
            why = "no such photo" if clean else "no such identity"
            unmatched = sorted(set(names) - set(matched.values()))
            skipped += [printable(f"{method}/{identity}/{name}") + f" ({why} in --faces)" for name in unmatched]
    return CloakFiles(files, tuple(skipped))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return listed(folder)
    except OSError as error:
        raise InputError(f"--cloaks: {folder}: cannot be read: {error.strerror or error}") from error


def _check_layout(method: str, folder: Path, root: Path) -> None:
    """Makes sure that the folder of a method has folders in it: without names of methods, photos stand there."""
    entries = _entries(folder)
    if entries and not any(entry.is_dir() for entry in entries):
        raise InputError(
            f"--cloaks: expected METHOD/IDENTITY/PHOTO in {root}, got {printable(method)}/"
            f"{printable(text_of(entries[0].name))}: put the folders of identities into one that is named after the method"
        )


def _matched(clean: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names of clean photos, each with that of its cloak: the same, or else the only ones of the same stem."""
    same = {canonical(name): name for name in names}
    yield from ((file, same[canonical(file)]) for file in clean if canonical(file) in same)
    of_both = same.keys() & map(canonical, clean)
    left, found = (_by_stem(each for each in side if canonical(each) not in of_both) for side in (clean, names))
    for stem in left.keys() & found.keys():
        if len(left[stem]) == len(found[stem]) == 1:
            yield left[stem][0], found[stem][0]


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(PurePath(canonical(name)).stem, []).append(name)
    return found


def read_names(root: Path, table: Path, faces: DataSet, *, methods: Sequence[str] | None) -> CloakFiles:
    """The cloaks that a CSV table names: method, identity, photo, and the file in `root`. No picture is opened.

    Raises:
        InputError: the table cannot be read, lacks a column, has a row that cannot be, or has none of a method.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if lacking:
                got = ", ".join(reader.fieldnames or ()) or "none"
                raise InputError(f"--names: {table}: expected the columns {', '.join(COLUMNS)}, got {got}")
            rows = [(reader.line_num, tuple((row[column] or "").strip() for column in COLUMNS)) for row in reader]
    except OSError as error:
        raise InputError(f"--names: {table}: cannot be read: {error.strerror or error}") from error
    except (UnicodeError, csv.Error) as error:
        raise InputError(f"--names: {table}: expected a CSV table in UTF-8: {error}") from error
    known = {identity: {photo.file for photo in faces.photos(identity)} for identity in faces.identities}
    files: dict[str, dict[PhotoKey, Path]] = {}
    skipped: list[str] = []
    for line, (method, identity, photo, cloak) in rows:
        where = f"--names: {table}, line {line}"
        if not all((method, identity, photo, cloak)):
            raise InputError(f"{where}: expected {', '.join(COLUMNS)}, got a row without one of them")
        if PurePath(cloak).is_absolute() or ".." in PurePath(cloak).parts:
            raise InputError(f"{where}: expected the path of a file in {root}, got {cloak}")
        key = PhotoKey(canonical(identity), photo)
        of_method = files.setdefault(method, {})
        if key in of_method:
            raise InputError(f"{where}: expected one cloak of each photo by each method, got another of {identity}/{photo}")
        if photo in known.get(key.identity, ()):
            of_method[key] = root / file_name_of(cloak)
        else:
            skipped.append(f"{method}/{identity}/{photo} (no such photo in --faces)")
    wanted = _chosen(sorted(files), methods, table)
    return CloakFiles({method: files[method] for method in wanted}, tuple(skipped))


def _chosen(found: Collection[str], wanted: Iterable[str] | None, where: Path) -> list[str]:
    """The methods that are asked for, or all that are found."""
    if not found:
        raise InputError(f"--cloaks: expected METHOD/IDENTITY/PHOTO, got {where} without any method")
    for method in wanted or ():
        if method not in found:
            there = ", ".join(map(printable, found))
            raise InputError(f"--methods: expected one of {where} ({there}), got {method}{nearest(method, found)}")
    chosen = list(found if wanted is None else wanted)
    for method in chosen:
        impossible = is_control(method) or not method.isprintable() or any(each in method for each in RESERVED)
        if impossible or method != method.strip() or len(method) > MAX_NAME:
            raise InputError(
                f"--cloaks: expected names of methods of at most {MAX_NAME} printable characters, without "
                f"{' '.join(RESERVED)}, and no control's, got {printable(method)!r}"
            )
    return chosen
