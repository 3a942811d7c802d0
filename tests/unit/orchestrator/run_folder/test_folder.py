"""A run folder is its owner's alone, and goes on only as the run it began as."""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.condition import LOSSLESS, NAMED_SETS
from orchestrator.experiment.grid import Grid
from orchestrator.experiment.method import Cost
from orchestrator.experiment.plan import Plan
from orchestrator.run_folder.folder import ABANDONED_SECONDS, PSR_CSV, RunFolder
from orchestrator.store.changes import record_subject
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store
from tests.support.plans import BIM, FACES, PLAN, model, plan

ENCODED = b"a cloak"
DIGEST = sha256(ENCODED).hexdigest()
UNSTATED = {"parameters": {}, "needs_label_set": False, "costs": {}, "own_budget": None, "carrier": ""}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.create()
    return folder


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}


def test_folders_and_files_are_readable_by_their_owner_only(folder: RunFolder) -> None:
    folder.bind(PLAN)
    folder.write_table(PSR_CSV, "source_model\n")
    folder.keep_cloak(DIGEST, ENCODED)
    assert modes(folder.root) == {
        ".": 0o700,
        "cloaks": 0o700,
        f"cloaks/{DIGEST[:2]}": 0o700,
        f"cloaks/{DIGEST[:2]}/{DIGEST}.png": 0o600,
        "logs": 0o700,
        "logs/invader.log": 0o600,
        "logs/protector.log": 0o600,
        "manifest.json": 0o600,
        "observations.sqlite": 0o600,
        "psr.csv": 0o600,
    }


def test_the_observations_stay_their_owner_s_while_they_are_written(folder: RunFolder) -> None:
    store = Store(folder.observations, run="r")
    store.write(record_subject(Subject("alice", "alice/a.jpg", "d" * 64, SubjectStatus.SUBJECT)))
    written = {name: mode for name, mode in modes(folder.root).items() if "sqlite" in name}
    store.close()
    assert {"observations.sqlite", "observations.sqlite-wal"} <= written.keys()
    assert written == dict.fromkeys(written, 0o600)


def test_what_is_put_into_a_folder_that_others_can_read_is_still_the_owner_s(tmp_path: Path) -> None:
    root = tmp_path / "open"
    root.mkdir(mode=0o755)
    folder = RunFolder(root)
    folder.create()
    folder.bind(PLAN)
    inside = {name: mode for name, mode in modes(root).items() if name != "."}
    assert inside.keys() > {"cloaks", "logs", "manifest.json", "observations.sqlite"}
    assert {mode & 0o077 for mode in inside.values()} == {0}


@pytest.mark.parametrize("name", ["holiday.jpg", "notes", ".git"])
def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a run's")
    with pytest.raises(InputError) as refused:
        RunFolder(tmp_path).create()
    assert str(refused.value) == f"--run: expected a new folder or one that holds a run, got {tmp_path} with {name}"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_in_which_a_run_only_just_began_is_taken(folder: RunFolder) -> None:
    RunFolder(folder.root).create()
    RunFolder(folder.root).bind(PLAN)
    assert folder.manifest() is not None


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("observations.sqlite", "observations.sqlite-wal", "observations.sqlite-shm"), id="a store"),
        pytest.param(("observations.sqlite-journal",), id="a store that becomes one"),
        pytest.param((".part-ab12cd",), id="half a file"),
    ],
)
def test_a_folder_in_which_a_process_died_as_it_began_or_begins_at_this_moment_is_taken(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).touch()
    folder = RunFolder(tmp_path)
    folder.create()
    folder.bind(PLAN)
    assert folder.manifest() is not None


def test_a_folder_in_which_another_process_writes_the_manifest_as_it_is_looked_at_is_taken(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Path.iterdir

    def written_first(path: Path) -> Iterator[Path]:
        RunFolder(folder.root).bind(PLAN)
        return listed(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", written_first)
        folder.create()
    assert folder.manifest() is not None


def abandon(path: Path) -> None:
    """As a process leaves it that was killed while it wrote the file, a while ago."""
    path.touch()
    before = path.stat().st_mtime - ABANDONED_SECONDS - 1
    os.utime(path, (before, before))


def test_half_written_files_of_before_are_swept_and_those_that_are_being_written_are_left(folder: RunFolder) -> None:
    folder.keep_cloak(DIGEST, ENCODED)
    pictures = folder.root / "cloaks" / DIGEST[:2]
    young = [place / ".part-young" for place in (folder.root, pictures)]
    for path in young:
        path.touch()
        abandon(path.with_name(".part-old"))
    folder.sweep()
    assert sorted(folder.root.rglob(".part-*")) == sorted(young)
    assert folder.kept_cloak(DIGEST) == ENCODED


def test_what_cannot_be_swept_stays(folder: RunFolder) -> None:
    in_the_way = folder.root / ".part-folder"
    in_the_way.mkdir()
    abandon(in_the_way)
    half = folder.root / "cloaks" / ".part-file"
    abandon(half)
    folder.sweep()
    assert in_the_way.exists()
    assert not half.exists()


def test_the_manifest_and_the_figures_wait_for_the_disk_and_pictures_do_not(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name[:6])
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    folder.keep_cloak(DIGEST, ENCODED)
    assert synced == []
    folder.bind(PLAN)
    folder.write_table(PSR_CSV, "source_model\n")
    assert synced == [".part-", folder.root.name] * 2


def test_making_a_folder_twice_leaves_what_is_in_it(folder: RunFolder) -> None:
    folder.bind(PLAN)
    folder.create()
    assert folder.manifest() is not None


def test_the_manifest_states_the_plan_its_digest_and_the_software(folder: RunFolder) -> None:
    folder.bind(PLAN)
    manifest = folder.manifest()
    assert manifest is not None
    protocol = manifest["protocol"]
    assert protocol["grid"] == {
        "source_models": ["facenet"],
        "target_models": ["resnet50"],
        "methods": ["bim"],
        "epsilons": [4, 8],
        "ks": [1, 5],
        "conditions": ["jpeg:95"],
        "unbudgeted": [],
        "without_noise": [],
        "enrolling": [],
    }
    assert (protocol["subjects"], protocol["seed"], protocol["placement"]) == (2, 3, "crop")
    assert (protocol["until_halfwidth"], protocol["look_every"]) == (None, 20)
    assert protocol["no_face_is_protected"] is True
    assert protocol["crafting"] == {
        "bim": {
            "parameters": BIM.parameters,
            "needs_label_set": True,
            "costs": {"4": {"gradients": 5, "forward_passes": 0}, "8": {"gradients": 10, "forward_passes": 0}},
            "own_budget": None,
            "carrier": "",
        }
    }
    assert manifest["data_set"]["photos_sha256"] == sha256(b"alice/a.jpg\nalice/b.jpg\nbob/c.png\n").hexdigest()
    assert manifest["source_models"]["facenet"]["checkpoint_sha256"] == "c" * 64
    assert manifest["digest"] == PLAN.digest()
    assert {"grpcio", "python", "commit"} <= manifest["software"].keys()


def test_the_same_plan_goes_on(folder: RunFolder) -> None:
    folder.bind(PLAN)
    before = folder.manifest()
    RunFolder(folder.root).bind(plan())
    assert folder.manifest() == before


def test_the_conditions_are_part_of_what_a_run_is(folder: RunFolder) -> None:
    several = plan(grid=PLAN.grid.under(*NAMED_SETS["paper"]))
    assert several.digest() != PLAN.digest()
    folder.bind(several)
    assert (folder.manifest() or {})["protocol"]["grid"]["conditions"] == ["jpeg:95", "jpeg:95@full", "png"]
    folder.bind(several)
    with pytest.raises(InputError, match=r"protocol\.grid\.conditions: \['jpeg:95', .* then, \['jpeg:95'\] now$"):
        folder.bind(PLAN)


def test_an_outcome_beside_the_plan_does_not_keep_it_from_going_on(folder: RunFolder) -> None:
    folder.bind(PLAN)
    folder.write_manifest((folder.manifest() or {}) | {"outcome": {"failed_calls": 3}})
    folder.bind(PLAN)
    assert (folder.manifest() or {})["outcome"] == {"failed_calls": 3}


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        pytest.param(plan(seed=4), "protocol.seed: 3 then, 4 now", id="seed"),
        pytest.param(plan(subjects=1), "protocol.subjects: 2 then, 1 now", id="subjects"),
        pytest.param(
            plan(grid=Grid(("facenet",), ("resnet50",), ("bim",), (4, 16), (1, 5))),
            "protocol.grid.epsilons: [4, 8] then, [4, 16] now",
            id="epsilons",
        ),
        pytest.param(
            plan(grid=Grid(("facenet",), ("resnet50",), ("bim", "illc"), (4, 8), (1, 5))),
            f"protocol.crafting.illc: None then, {UNSTATED!r} now; protocol.grid.methods: ['bim'] then, ['bim', 'illc'] now",
            id="methods",
        ),
        pytest.param(
            plan(crafting={"bim": replace(BIM, parameters={**BIM.parameters, "alpha": "2 levels"})}),
            "protocol.crafting.bim.parameters.alpha: '1 level' then, '2 levels' now",
            id="what a method says of itself",
        ),
        pytest.param(
            plan(crafting={"bim": replace(BIM, costs={4: Cost(5, 0), 8: Cost(20, 0)})}),
            "protocol.crafting.bim.costs.8.gradients: 10 then, 20 now",
            id="what a method costs",
        ),
        pytest.param(
            plan(target_models={"resnet50": model("resnet50", extraction="the middle")}),
            "target_models.resnet50.extraction: None then, 'the middle' now",
            id="extraction",
        ),
        pytest.param(
            plan(grid=Grid(("facenet",), ("resnet50",), ("bim",), (4, 8), (1,))),
            "protocol.grid.ks: [1, 5] then, [1] now",
            id="ks",
        ),
        pytest.param(
            plan(grid=PLAN.grid.under(LOSSLESS)), "protocol.grid.conditions: ['jpeg:95'] then, ['png'] now", id="conditions"
        ),
        pytest.param(
            plan(target_models={"resnet50": model("resnet50", label_set_sha256="b" * 64)}),
            f"target_models.resnet50.label_set_sha256: '{'a' * 64}' then, '{'b' * 64}' now",
            id="label set",
        ),
        pytest.param(
            plan(source_models={"facenet": model("facenet", checkpoint_sha256="e" * 64)}),
            f"source_models.facenet.checkpoint_sha256: '{'c' * 64}' then, '{'e' * 64}' now",
            id="checkpoint",
        ),
        pytest.param(
            plan(until_halfwidth=2.0),
            "protocol.until_halfwidth: None then, 2.0 now",
            id="until narrow",
        ),
    ],
)
def test_another_plan_is_refused_by_what_differs_and_by_nothing_else(
    folder: RunFolder, other: Plan, difference: str
) -> None:
    folder.bind(PLAN)
    before = folder.manifest()
    with pytest.raises(InputError) as refused:
        folder.bind(other)
    assert str(refused.value) == f"--run: {folder.root} holds another run; what differs: {difference}"
    assert folder.manifest() == before
    assert other.digest() != PLAN.digest()


def test_how_narrow_and_how_often_looked_at_are_part_of_what_a_run_is(folder: RunFolder) -> None:
    folder.bind(plan(until_halfwidth=2.0))
    protocol = (folder.manifest() or {})["protocol"]
    assert (protocol["subjects"], protocol["until_halfwidth"], protocol["look_every"]) == (2, 2.0, 20)
    folder.bind(plan(until_halfwidth=2.0))
    for other, now in ((plan(until_halfwidth=2.5), "2.5"), (plan(), "None")):
        with pytest.raises(InputError, match=rf"protocol\.until_halfwidth: 2\.0 then, {now} now$"):
            folder.bind(other)


def test_another_data_set_is_refused(folder: RunFolder) -> None:
    folder.bind(PLAN)
    fewer = type(FACES)(FACES.root, {"alice": ("a.jpg", "b.jpg")}, (), {"alice": "alice"})
    with pytest.raises(InputError, match=r"data_set\.identities: 2 then, 1 now; data_set\.photos_sha256: "):
        folder.bind(plan(faces=fewer))


def test_everything_that_differs_is_named(folder: RunFolder) -> None:
    folder.bind(PLAN)
    with pytest.raises(InputError, match=r"protocol\.grid\.conditions: .* now; protocol\.seed: 3 then, 0 now$"):
        folder.bind(plan(seed=0, grid=PLAN.grid.under(LOSSLESS)))


def test_a_data_set_that_was_moved_is_the_same(folder: RunFolder) -> None:
    folder.bind(PLAN)
    folder.bind(plan(faces=type(FACES)(Path("/elsewhere"), FACES.names, ("readme.md",), FACES.folders)))
    assert (folder.manifest() or {})["digest"] == PLAN.digest()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"format": 1, "protocol": {"gri', id="half-written"),
        pytest.param("", id="empty"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param('"a run"', id="a string"),
        pytest.param("\x00\x01\x02", id="not text"),
    ],
)
def test_a_manifest_that_is_none_is_refused_by_its_path(folder: RunFolder, text: str) -> None:
    path = folder.root / "manifest.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        folder.bind(PLAN)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    assert path.read_text() == text, "what is not ours is not overwritten"


def test_a_manifest_in_another_encoding_is_refused(folder: RunFolder) -> None:
    (folder.root / "manifest.json").write_bytes(b'{"name": "\xff\xfe"}')
    with pytest.raises(InputError, match=r"manifest\.json: half written or damaged: "):
        folder.bind(PLAN)


@pytest.mark.parametrize("foreign", [{}, {"name": "an-app", "version": "1.0"}, {"format": 1}])
def test_the_manifest_of_something_else_is_refused(folder: RunFolder, foreign: dict[str, object]) -> None:
    (folder.root / "manifest.json").write_text(json.dumps(foreign))
    with pytest.raises(InputError, match=r"holds another run; what differs: .*format: .* then, 5 now"):
        folder.bind(PLAN)
    assert folder.manifest() == foreign


def test_a_run_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OrchestratorError, match=f"^--run: {tmp_path}/file/run cannot be made: Not a directory$"):
        RunFolder(tmp_path / "file" / "run").create()
    with pytest.raises(OrchestratorError, match=f"^--run: {tmp_path}/file cannot be made: File exists$"):
        RunFolder(tmp_path / "file").create()


WRITES: dict[str, Callable[[RunFolder], None]] = {
    "psr.csv": lambda folder: folder.write_table(PSR_CSV, "source_model\n"),
    "manifest.json": lambda folder: folder.write_manifest({}),
    f"cloaks/{DIGEST[:2]}": lambda folder: folder.keep_cloak(DIGEST, ENCODED),
}


@pytest.mark.parametrize("name", ["psr.csv", "manifest.json"])
def test_a_file_that_cannot_be_written_is_an_error_of_one_line_and_leaves_nothing_behind(
    folder: RunFolder, name: str
) -> None:
    (folder.root / name / "in the way").mkdir(parents=True)
    before = modes(folder.root)
    with pytest.raises(OrchestratorError, match=rf"{name}: cannot be written: Is a directory$"):
        WRITES[name](folder)
    assert modes(folder.root) == before


def test_a_cloak_that_cannot_be_written_is_an_error_of_one_line(folder: RunFolder) -> None:
    (folder.root / "cloaks" / DIGEST[:2]).write_bytes(b"in the way")
    with pytest.raises(OrchestratorError, match=rf"{DIGEST}\.png: cannot be written: "):
        folder.keep_cloak(DIGEST, ENCODED)


def test_a_kept_cloak_comes_back(folder: RunFolder) -> None:
    folder.keep_cloak(DIGEST, ENCODED)
    folder.keep_cloak(DIGEST, ENCODED)
    assert folder.kept_cloak(DIGEST) == ENCODED
    assert folder.kept_cloak("0" * 64) is None


def test_every_picture_is_in_a_folder_of_pictures(folder: RunFolder) -> None:
    folder.keep_cloak(DIGEST, ENCODED)
    kept = {path for path in folder.pictures.rglob("*") if path.is_file()}
    assert kept == {path for path in folder.root.rglob("*") if path.is_file() and path.read_bytes() == ENCODED}
    assert len(kept) == 1


def test_a_kept_cloak_that_is_no_longer_what_it_was_does_not_come_back(folder: RunFolder) -> None:
    folder.keep_cloak(DIGEST, ENCODED)
    (path,) = folder.root.rglob("*.png")
    path.write_bytes(ENCODED[:3])
    assert folder.kept_cloak(DIGEST) is None


def test_a_damaged_cloak_is_replaced_by_the_one_that_is_crafted_again(folder: RunFolder) -> None:
    folder.keep_cloak(DIGEST, ENCODED)
    (path,) = folder.root.rglob("*.png")
    path.write_bytes(ENCODED[:3])
    folder.keep_cloak(DIGEST, ENCODED)
    assert folder.kept_cloak(DIGEST) == ENCODED


@pytest.mark.parametrize(("cloaks", "needed"), [(100, "21 MB"), (0, "5 MB")])
def test_a_disk_without_room_is_told_before_the_work(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, cloaks: int, needed: str
) -> None:
    folder.create()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4_000_000))
    with pytest.raises(InputError) as refused:
        folder.check_room(cloaks=cloaks)
    expected = f"--run: expected {needed} of free disk space for {folder.root}, got 4 MB"
    assert str(refused.value) == expected + ("; with --discard-cloaks it needs less" if cloaks else "")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**12))
    folder.check_room(cloaks=cloaks)


def test_a_disk_that_fills_up_is_one_line(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.create()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(OrchestratorError, match=r"cannot be written: No space left on device$"):
        folder.keep_cloak("ab" * 32, b"cloak")


def test_new_folders_of_the_same_name_are_made_beside_each_other(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / "runs" / "20260101-120000", new=True) for _ in range(3)]
    for folder in folders:
        folder.create()
    names = ["20260101-120000", "20260101-120000-2", "20260101-120000-3"]
    assert [folder.root.name for folder in folders] == names
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names
    folders[1].create()
    assert folders[1].root.name == names[1]


def test_a_folder_that_is_not_asked_to_be_new_is_gone_on_with(folder: RunFolder) -> None:
    folder.bind(PLAN)
    again = RunFolder(folder.root)
    again.create()
    assert again.begun


@pytest.mark.parametrize("code", [errno.EBADF, errno.EOPNOTSUPP])
def test_a_folder_whose_names_cannot_be_synced_says_so_and_is_used(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    assert folder.syncs_names
    monkeypatch.setattr(os, "fsync", fsync)
    assert not folder.syncs_names
    folder.bind(PLAN)
    assert folder.begun


def test_a_folder_of_runs_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(tmp_path / "unmounted" / "runs")
    with pytest.raises(OrchestratorError, match="cannot be made"):
        RunFolder(tmp_path / "runs" / "one", new=True).create()
