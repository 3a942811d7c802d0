"""The manifests of deploy/kubernetes: valid by the published schemas, isolated, and about programs as they are."""

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from invader_service.config import InvaderSettings
from orchestrator.cli import cli
from orchestrator.commands.evaluate import evaluate_command
from protector_service.config import ProtectorSettings
from rpc.settings import ServiceSettings
from tests.support.network_policies import End, may_reach

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("gpu", "cert-manager")
NOT_OF_KUBERNETES = "cert-manager.io/"  # whose kinds it has no schemas of
NAMESPACE = "deid-bench"
SETTINGS: Mapping[str, type[ServiceSettings]] = {"protector": ProtectorSettings, "invader": InvaderSettings}
NO_SETTING = "DEID_INDEX"

Manifest = dict[str, Any]


def base() -> list[Manifest]:
    """What the base consists of, each in the namespace that kustomize gives it."""
    listed = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())
    manifests = [
        manifest
        for name in listed["resources"]
        for manifest in yaml.safe_load_all((FOLDER / "base" / name).read_text(encoding="utf-8"))
    ]
    for manifest in manifests:
        manifest["metadata"]["namespace"] = listed["namespace"]
    return manifests


BASE = base()
POLICIES = [each for each in BASE if each["kind"] == "NetworkPolicy"]
PODS = {
    each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]
    for each in BASE
    if "template" in each.get("spec", {})
}


def named(kind: str, name: str) -> Manifest:
    return next(each for each in BASE if each["kind"] == kind and each["metadata"]["name"] == name)


def container(component: str) -> Manifest:
    (only,) = PODS[component]["spec"]["containers"]
    return only  # type: ignore[no-any-return]


def variables(component: str) -> dict[str, str | None]:
    return {each["name"]: each.get("value") for each in container(component)["env"]}


def rendered(overlay: str) -> list[Manifest]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: NO OVERLAY OF deploy/kubernetes WAS TESTED")
    built = subprocess.run(["kubectl", "kustomize", str(FOLDER / overlay)], capture_output=True, check=False)
    assert built.returncode == 0, built.stderr.decode()
    return list(yaml.safe_load_all(built.stdout))


# Schemas.


@pytest.mark.parametrize("overlay", ["base", *OVERLAYS])
def test_manifests_are_valid_by_the_published_schemas(overlay: str) -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: make oracles"
    )
    manifests = BASE if overlay == "base" else rendered(overlay)
    for manifest in manifests:
        if not manifest["apiVersion"].startswith(NOT_OF_KUBERNETES):
            kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_found() -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: make oracles"
    )
    misspelt = copy.deepcopy(named("Deployment", "invader"))
    misspelt["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, "1.30", strict=True)


# Pods.


def test_the_three_programs_are_there() -> None:
    assert PODS.keys() == {"protector", "invader", "orchestrator"}


@pytest.mark.parametrize("component", ["protector", "invader", "orchestrator"])
def test_every_program_is_a_user_without_rights_in_limits(component: str) -> None:
    pod, only = PODS[component]["spec"], container(component)
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert only["resources"]["limits"]["memory"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostAliases", "initContainers"} & pod.keys()


@pytest.mark.parametrize("component", ["protector", "invader"])
def test_a_service_has_no_name_server_and_keeps_no_embeddings(component: str) -> None:
    pod = PODS[component]["spec"]
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
    assert variables(component)[f"DEID_{component.upper()}_EMBEDDING_CACHE"] == "off"


def test_protector_and_invader_share_neither_secret_nor_volume() -> None:
    def taken(component: str) -> set[str]:
        return set(re.findall(r"(?:secretName|claimName|name): ([a-z-]+)\n", yaml.safe_dump(sources(component))))

    def sources(component: str) -> list[Any]:
        volumes = [{k: v for k, v in each.items() if k != "name"} for each in PODS[component]["spec"]["volumes"]]
        secrets = [each["valueFrom"]["secretKeyRef"] for each in container(component)["env"] if "secretKeyRef" in str(each)]
        return [*volumes, *secrets]

    components = ("protector", "invader", "orchestrator")
    found = {component: taken(component) for component in components}
    assert found == {
        "protector": {"protector-certificate"},
        "invader": {"invader-certificate", "invader-ledger"},
        "orchestrator": {"orchestrator-certificate", "orchestrator-store", "runs"},
    }


# Programs.


@pytest.mark.parametrize("component", ["protector", "invader", "orchestrator"])
def test_every_image_is_a_target_of_the_dockerfile(component: str) -> None:
    targets = re.findall(r"(?m)^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    project, _, target = container(component)["image"].partition("/")
    assert project == "face-deid-bench"
    assert target in targets


@pytest.mark.parametrize("component", SETTINGS)
@pytest.mark.parametrize("overlay", ["base", "gpu"])
def test_the_variables_of_a_service_are_its_settings(component: str, overlay: str) -> None:
    given = variables(component)
    if overlay == "gpu":
        patch = yaml.safe_load((FOLDER / "gpu" / f"{component}.yaml").read_text())
        given |= {each["name"]: each["value"] for each in patch["spec"]["template"]["spec"]["containers"][0]["env"]}
    prefix = f"DEID_{component.upper()}_"
    values = {name.removeprefix(prefix).lower(): value for name, value in given.items()}
    assert values.keys() <= SETTINGS[component].model_fields.keys()
    SETTINGS[component].model_validate({name: value for name, value in values.items() if value is not None})


def test_the_variables_and_options_of_the_orchestrator_exist() -> None:
    known = {each.envvar for each in evaluate_command.params}
    assert variables("orchestrator").keys() - {NO_SETTING} <= known
    command, *options = container("orchestrator")["args"]
    assert command in cli.list_commands(click.Context(cli))
    flags = {flag for each in evaluate_command.params for flag in each.opts}
    assert {each for each in options if each.startswith("--")} <= flags
    assert f"$({NO_SETTING})" in "".join(options)


@pytest.mark.parametrize("component", SETTINGS)
def test_ports_and_names_agree(component: str) -> None:
    given, only = variables(component), container(component)
    port = int(given[f"DEID_{component.upper()}_PORT"] or 0)
    metrics = int(given[f"DEID_{component.upper()}_METRICS_PORT"] or 0)
    service = named("Service", component)
    assert service["spec"]["clusterIP"] == "None"
    assert [each["port"] for each in service["spec"]["ports"]] == [port]
    assert {each["containerPort"] for each in only["ports"]} == {port, metrics}
    assert PODS[component]["metadata"]["annotations"]["prometheus.io/port"] == str(metrics)
    assert variables("orchestrator")[f"DEID_ORCHESTRATOR_{component.upper()}"] == f"dns:///{component}:{port}"
    mounted = {each["mountPath"] for each in only["volumeMounts"]}
    files = [value for name, value in given.items() if "_TLS_" in name and value is not None]
    assert {str(Path(each).parent) for each in files} <= mounted
    assert {Path(each).name for each in files} == {"tls.crt", "tls.key", "ca.crt"}


@pytest.mark.parametrize("component", SETTINGS)
def test_probes_ask_for_health_as_the_program_answers_it(component: str) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(component)[probe]["exec"]["command"] == [
            "python",
            "-P",
            "-m",
            f"{component}_service",
            "healthcheck",
        ]
    assert (ROOT / f"{component}_service" / "__main__.py").is_file()


@pytest.mark.parametrize("component", SETTINGS)
def test_a_service_is_scaled_by_metrics_that_it_has_and_that_the_adapter_gives(component: str) -> None:
    scaler = named("HorizontalPodAutoscaler", component)["spec"]
    asked = {each["pods"]["metric"]["name"] for each in scaler["metrics"]}
    assert "deid_queue_depth" in asked
    served = (ROOT / f"{component}_service" / "serve.py").read_text(encoding="utf-8")
    assert asked <= set(re.findall(r'server\.metrics\.gauge\("(\w+)"', served))
    given = (FOLDER / "prometheus-adapter.yaml").read_text(encoding="utf-8")
    assert all(name in given for name in asked)
    for kind in ("PodDisruptionBudget", "Deployment"):
        selector = named(kind, component)["spec"]["selector"]["matchLabels"]
        assert selector.items() <= PODS[component]["metadata"]["labels"].items()


# Who may reach whom.


def pod(component: str) -> End:
    return End(PODS[component]["metadata"]["labels"], NAMESPACE, {"kubernetes.io/metadata.name": NAMESPACE})


def elsewhere(namespace: str, *labels: str, **of_pod: str) -> End:
    of_namespace = {"kubernetes.io/metadata.name": namespace, **dict.fromkeys(labels, "true")}
    return End({key.replace("__", "/").replace("_", "-"): value for key, value in of_pod.items()}, namespace, of_namespace)


ENDS = {
    "protector": pod("protector"),
    "invader": pod("invader"),
    "orchestrator": pod("orchestrator"),
    "stranger beside them": End({"app": "shell"}, NAMESPACE, {"kubernetes.io/metadata.name": NAMESPACE}),
    "stranger elsewhere": elsewhere("default"),
    "impostor": End(pod("orchestrator").labels, "default", {"kubernetes.io/metadata.name": "default"}),
    "ledger": elsewhere("ledger", "deid-bench/ledger"),
    "store": elsewhere("store", "deid-bench/store"),
    "prometheus": End({"app.kubernetes.io/name": "prometheus"}, "monitoring", {"deid-bench/metrics": "true"}),
    "beside prometheus": End({}, "monitoring", {"deid-bench/metrics": "true"}),
    "name server": elsewhere("kube-system", k8s_app="kube-dns"),
    "internet": End(address="203.0.113.7"),
    "metadata service": End(address="169.254.169.254"),
}
PORTS = (22, 53, 80, 443, 5432, 9464, 50051, 50052, 50061, 50062)
ALLOWED = {
    ("orchestrator", "protector", 50051, "TCP"),
    ("orchestrator", "invader", 50052, "TCP"),
    ("orchestrator", "store", 5432, "TCP"),
    ("orchestrator", "name server", 53, "TCP"),
    ("orchestrator", "name server", 53, "UDP"),
    ("invader", "ledger", 5432, "TCP"),
    ("prometheus", "protector", 9464, "TCP"),
    ("prometheus", "invader", 9464, "TCP"),
}
OURS = ("protector", "invader", "orchestrator", "stranger beside them")


def reachable(policies: list[Manifest]) -> Iterator[tuple[str, str, int, str]]:
    """Every connection of which one end is in the namespace."""
    for source, one in ENDS.items():
        for target, other in ENDS.items():
            if source != target and (source in OURS or target in OURS):
                for port in PORTS:
                    for protocol in ("TCP", "UDP"):
                        if may_reach(policies, one, other, port, protocol):
                            yield source, target, port, protocol


def test_nobody_reaches_anybody_but_as_the_experiment_needs_it() -> None:
    assert set(reachable(POLICIES)) == ALLOWED


def test_replicas_of_one_service_do_not_reach_each_other() -> None:
    for component in PODS:
        assert not any(may_reach(POLICIES, pod(component), pod(component), port) for port in PORTS)


@pytest.mark.parametrize("policy", [each["metadata"]["name"] for each in POLICIES])
def test_each_policy_is_needed(policy: str) -> None:
    others = [each for each in POLICIES if each["metadata"]["name"] != policy]
    assert set(reachable(others)) != ALLOWED


def test_a_policy_of_another_namespace_would_confine_nobody() -> None:
    moved = copy.deepcopy(POLICIES)
    for each in moved:
        each["metadata"]["namespace"] = "default"
    assert ("protector", "internet", 443, "TCP") in set(reachable(moved))


# Overlays.


def test_with_gpus_each_replica_takes_one_and_everything_else_is_the_same() -> None:
    found = {(each["kind"], each["metadata"]["name"]): each for each in rendered("gpu")}
    plain = {(each["kind"], each["metadata"]["name"]): each for each in rendered("base")}
    assert found.keys() == plain.keys()
    for key, manifest in found.items():
        if key[0] != "Deployment":
            assert manifest == plain[key]
            continue
        (only,) = manifest["spec"]["template"]["spec"]["containers"]
        assert only["resources"]["limits"] == {
            "memory": container(key[1])["resources"]["limits"]["memory"],
            "nvidia.com/gpu": 1,
        }
        assert {each["name"] for each in only["env"]} == {*variables(key[1]), f"DEID_{key[1].upper()}_DEVICE"}


def test_cert_manager_makes_the_secrets_that_pods_mount_each_for_its_side_alone() -> None:
    made = [each for each in rendered("cert-manager") if each["kind"] == "Certificate"]
    leaves = {each["spec"]["secretName"]: each["spec"] for each in made if not each["spec"].get("isCA")}
    assert leaves.keys() == {f"{component}-certificate" for component in PODS}
    for secret, spec in leaves.items():
        name = secret.removesuffix("-certificate")
        is_server = name != "orchestrator"
        assert spec["commonName"] == name
        assert spec.get("dnsNames") == ([name] if is_server else None)
        assert spec["usages"] == ["digital signature", f"{'server' if is_server else 'client'} auth"]
