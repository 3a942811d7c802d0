"""The manifest of a run folder, read and checked: whatever of it is used afterwards is there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.experiment.grid import Grid
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.plan import BINDING, FORMAT, NO_FACE_IS_PROTECTED, digest_of
from orchestrator.run_folder.folder import MANIFEST, RunFolder


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a run folder, of this version and this protocol.

    Raises:
        InputError: there is none, or another.
    """
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of a run, got {'a file' if root.exists() else 'nothing there'}")
    manifest = RunFolder(root).manifest()
    if manifest is None:
        raise InputError(f"{root}: expected the folder of a run, got {_what_is_there(root)}")
    path, version = root / MANIFEST, manifest.get("format", FORMAT)
    if version != FORMAT:
        raise InputError(f"{path}: format: expected {FORMAT}, got {version!r}: read it with the release that wrote it")
    missing = [key for key in (*BINDING, "digest") if key not in manifest]
    if missing:
        raise InputError(f"{path}: expected the manifest of a run, got one without {', '.join(missing)}")
    _check_protocol(manifest, path)
    digest = digest_of(manifest)
    if digest != manifest["digest"]:
        raise InputError(f"{path}: changed since the run began: its digest is {digest[:12]}, not {manifest['digest'][:12]}")
    return manifest


def grid_of(manifest: Mapping[str, Any], root: Path) -> Grid:
    """The grid of the manifest of a run folder.

    Raises:
        InputError: it is not as this version knows it.
    """
    try:
        return Grid.from_stated(manifest["protocol"]["grid"])
    except (AttributeError, KeyError, TypeError, InputError) as error:
        raise InputError(f"{root / MANIFEST}: protocol.grid: another than this version knows: {error}") from error


def thresholds_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the thresholds of all target models, in ascending order."""
    cards = manifest["target_models"].values()
    return tuple(sorted({threshold["name"] for card in cards for threshold in card.get("thresholds", ())}))


def _check_protocol(manifest: Mapping[str, Any], path: Path) -> None:
    """Metrics mean what they say for one way of counting only."""
    protocol = manifest["protocol"]
    if not isinstance(protocol, dict):
        raise InputError(f"{path}: protocol: expected an object, got {type(protocol).__name__}")
    counting = protocol.get("no_face_is_protected")
    if counting != NO_FACE_IS_PROTECTED:
        differing = f"protocol.no_face_is_protected: {counting!r} there, {NO_FACE_IS_PROTECTED!r} here"
        raise InputError(f"{path}: of another protocol: {differing}")
    stated = ("grid", "subjects", "until_halfwidth", "look_every", "seed", "placement", "crafting", "replay_of", "gallery")
    absent = [key for key in stated if key not in protocol]
    if absent:
        raise InputError(f"{path}: expected protocol.{absent[0]}, got none")
    if protocol["placement"] not in list(Placement):
        raise InputError(f"{path}: protocol.placement: expected {' or '.join(Placement)}, got {protocol['placement']!r}")


def _what_is_there(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    return f"one without {MANIFEST}, with {names[0]}" if names else "an empty folder"
