"""Names from the file system are what their bytes say, whatever locale the orchestrator runs under."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

ZOE, NOEL = "Zoë", unicodedata.normalize("NFD", "Noël")
SCRIPT = """
import json, sys
from pathlib import Path
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.data_set import drawn_identities, drawn_photos
folder = read_face_folder(Path(sys.argv[1]))
drawn = drawn_identities(folder.identities, seed=5)
print(json.dumps({
    "encoding": sys.getfilesystemencoding(),
    "drawn": drawn,
    "photos": [[photo.name, photo.read().decode()] for who in drawn for photo in drawn_photos(folder, who, seed=5)],
    "skipped": folder.skipped,
    "sha256": folder.sha256(),
}))
"""


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a German of the nineties."""
    if shutil.which("localedef") is None:
        pytest.skip("no localedef to make a locale with")
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"], capture_output=True, check=False
    )
    if made.returncode > 1:  # 1: with warnings
        pytest.skip(f"localedef makes no locale: {made.stderr.decode(errors='replace')}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1"}


def read_under(locale: dict[str, str], root: Path) -> dict[str, object]:
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"} | locale
    run = subprocess.run([sys.executable, "-c", SCRIPT, root], env=environment, capture_output=True, check=True)
    read: dict[str, object] = json.loads(run.stdout)
    return read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (f"{ZOE}/портрет.jpg", f"{NOEL}/a.jpg", "plain/b.jpg", "plain/é.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/plain/caf\xe9.txt")).touch()
    return tmp_path


def check(read: dict[str, object]) -> None:
    people = [ZOE, unicodedata.normalize("NFC", NOEL), "plain"]
    drawn = sorted(people, key=lambda name: hashlib.sha256(b"5\n" + name.encode()).digest())
    photos = {ZOE: "портрет.jpg", people[1]: "a.jpg", "plain": "b.jpg"}
    written = {ZOE: f"{ZOE}/портрет.jpg", people[1]: f"{NOEL}/a.jpg", "plain": "plain/b.jpg"}
    assert read["drawn"] == drawn
    assert read["photos"] == [[f"{name}/{photos[name]}", written[name]] for name in drawn]
    assert read["skipped"] == ["plain/caf\\xe9.txt", "plain/é.txt"]
    lines = sorted(written.values(), key=lambda name: name.encode())
    assert read["sha256"] == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_under_the_locale_of_c(root: Path) -> None:
    read = read_under({"LC_ALL": "C"}, root)
    assert read["encoding"] != "utf-8", "the locale is to make a difference"
    check(read)


def test_under_a_locale_of_latin_1(root: Path, latin_1: dict[str, str]) -> None:
    read = read_under(latin_1, root)
    assert read["encoding"] != "utf-8", "the locale is to make a difference"
    check(read)


def test_under_a_locale_of_utf_8(root: Path) -> None:
    check(read_under({"LC_ALL": "C.UTF-8"}, root))
