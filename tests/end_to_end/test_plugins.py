"""Plug-ins in real processes: a run by a method and a network that only an installed distribution knows."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from recognizers.checkpoints import embedded
from tests.support.plugin_distributions import install

METHODS, RECOGNIZERS = "protector_service.methods", "recognizers"

LINES = 10_000  # that a plug-in prints when it is imported, and again when it first crafts: more than a pipe holds
METHOD = f"""
    from protector_service.methods.asks import Cost
    from protector_service.methods.method import Method
    from protector_service.methods.trajectory import iterations, loss_gradient, separate_trajectories

    def talk(when):
        for number in range({LINES}):
            print("plug-in:", when, number, flush=True)

    def half(epsilon):
        return iterations(epsilon) // 2

    talk("imported")

    class Halfway(Method):
        name = "halfway"
        description = "BIM that stops at half its steps."
        talked = False

        def cost(self, epsilon):
            return Cost(gradients=half(epsilon))

        def craft(self, job):
            if 32 in job.epsilons and not Halfway.talked:  # for a client, and not on trial
                Halfway.talked = True
                talk("crafting")
            yield from separate_trajectories(job, loss_gradient(job.y_true), n_iter=half)
"""
NETWORK = """
    from recognizers.networks.compact import CompactFaceNet
    from recognizers.networks.state_dict_format import StateDictFormat

    class Prefixed(StateDictFormat):
        def matches(self, names):
            return all(name.startswith("mine.") for name in names)

        def rename(self, name):
            return name.removeprefix("mine.")

    class MyFaceNet(CompactFaceNet):
        name = "my-facenet"
        formats = (Prefixed(name="prefixed", known_by="mine."),)
"""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    output: str


pytestmark = pytest.mark.thorough("recognizers/", "protector_service/", "invader_service/", "orchestrator/", "rpc/")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("plugins")
    site, checkpoints, folder = root / "site", root / "checkpoints", root / "run"
    install(site, "good-method", {METHODS: {"halfway": "plugin_method:Halfway"}}, plugin_method=METHOD)
    install(site, "good-network", {RECOGNIZERS: {"my-facenet": "plugin_network:MyFaceNet"}}, plugin_network=NETWORK)
    broken = {METHODS: {"lost": "plugin_broken:Lost", "bim": "plugin_method:Halfway"}, RECOGNIZERS: {"odd": "os:sep"}}
    install(site, "broken-things", broken, plugin_broken="import there_is_no_such_module")
    checkpoints.mkdir()
    weights = load_file(embedded.FOLDER / "compact-facenet.safetensors")
    save_file({f"mine.{name}": tensor for name, tensor in weights.items()}, checkpoints / "mine.safetensors")
    (checkpoints / "labels.txt").write_bytes((embedded.FOLDER / "labels.txt").read_bytes())
    command = [sys.executable, "-P", "-m", "orchestrator", "evaluate", "--run", str(folder), "--subjects", "1", "--k", "1"]
    command += ["--protector-checkpoints", str(checkpoints), "--invader-checkpoints", str(checkpoints)]
    command += ["--source-models", "my-facenet", "--target-models", "my-facenet"]
    command += ["--methods", "bim,fgsm,halfway", "--epsilons", "4,32", "--conditions", "jpeg:95", "--tables"]
    command += ["--gallery-photos", "0"]  # none of these networks compares with one
    environment = os.environ | {"PYTHONPATH": str(site), "COLUMNS": "400"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return Run(folder, finished.stdout)


def test_methods_and_network_of_plug_ins_are_run_beside_this_project_s_own(run: Run) -> None:
    psr = pd.read_csv(run.folder / "psr.csv")
    assert set(psr.method) == {"none", "noise", "bim", "fgsm", "halfway"}
    assert set(psr.source_model) == set(psr.target_model) == {"my-facenet"}
    assert set(psr[psr.method == "none"].psr) == {0.0}, "the network knows the people of its checkpoint"
    assert set(psr[(psr.method == "halfway") & (psr.epsilon == 32)].psr) == {100.0}
    assert set(psr.n) == {1}


def test_what_a_plug_in_prints_is_in_the_service_s_log(run: Run) -> None:
    printed = [line for line in (run.folder / "logs" / "protector.log").read_text().splitlines() if "plug-in: " in line]
    assert printed == [f"plug-in: {when} {number}" for when in ("imported", "crafting") for number in range(LINES)]


def test_every_method_has_its_table_and_its_place_in_the_report(run: Run) -> None:
    page = (run.folder / "report" / "report.html").read_text()
    for name in ("BIM", "FGSM", "halfway"):
        assert f"crafted with my-facenet by {name} " in run.output
        assert name in page


def test_the_broken_ones_are_named_with_their_distribution_by_whoever_would_serve_them(run: Run) -> None:
    lost = "lost of broken-things 1.0 (plugin_broken:Lost): cannot be loaded: ModuleNotFoundError: "
    bim = "bim of broken-things 1.0 (plugin_method:Halfway): the name is claimed by face-deid-bench "
    odd = "odd of broken-things 1.0 (os:sep): expected a class derived from Network, got an object of str"
    for service, complaint in (("protector", lost), ("protector", bim), ("protector", odd), ("invader", odd)):
        assert f"{service}: plug-in refused: {complaint}" in run.output
