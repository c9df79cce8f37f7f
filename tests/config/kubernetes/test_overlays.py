"""Each overlay, built: valid for two releases of Kubernetes, and of one piece."""

import copy
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from preprocess.cli import COMMANDS
from preprocess.settings import PROJECT_ROOT
from tests.config.kubernetes.checks import problems
from tests.config.kubernetes.kustomize import FOLDER, OVERLAYS, Document, built
from tests.config.kubernetes.manifests import Manifests
from tests.config.test_schedules import assert_command

# The oldest that gets mends from somebody, and the newest that the package knows.
RELEASES = ("1.32", "1.37")
CUSTOM = "keda.sh/v1alpha1"  # see test_keda.py

Break = Callable[[Manifests], Any]


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Manifests:
    return Manifests(built(request.param))


def every_document() -> list[Document]:
    """Of all overlays, each once."""
    texts = {json.dumps(each, sort_keys=True) for name in OVERLAYS for each in built(name)}
    documents: list[Document] = [json.loads(text) for text in sorted(texts)]
    return [document for document in documents if document["apiVersion"] != CUSTOM]


@functools.cache
def _contents(name: str, release: str) -> Any:
    return _read_contents(name, release)


_releases = kubernetes_validate.utils.all_versions
_read_contents = kubernetes_validate.utils.schema_contents


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_takes_every_document(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The definitions are a megabyte, and are read anew for each document otherwise.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", _contents)
    wrong = []
    for document in every_document():
        try:
            kubernetes_validate.validate(document, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            name = f"{document['kind']}/{document['metadata']['name']}"
            wrong.append(f"{name}: {error.message} at {list(error.path)}")
    assert wrong == []


def test_the_schemas_refuse_what_is_wrong() -> None:
    (document,) = (
        copy.deepcopy(each) for each in built("cpu") if each["metadata"]["name"] == "tezi-nothing"
    )
    document["spec"]["policyType"] = ["Ingress"]
    with pytest.raises(kubernetes_validate.ValidationError, match="policyType"):
        kubernetes_validate.validate(document, RELEASES[0], strict=True)
    assert set(RELEASES) <= {release.rsplit(".", 1)[0] for release in _releases()}


def test_everything_fits_together(overlay: Manifests) -> None:
    assert problems(overlay) == []


def container(all_: Manifests, kind: str, name: str) -> Document:
    found: Document = all_.one(kind, name)["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (
            lambda a: a.one("Service", "tezi-gateway")["spec"]["selector"].update(x="y"),
            "Service/tezi-gateway selects 0",
        ),
        (
            lambda a: a.one("Deployment", "tezi-triton")["spec"]["selector"]["matchLabels"].pop(
                "app.kubernetes.io/component"
            ),
            "does not select its own pods alone",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-triton")["ports"].pop(),
            "leads to port metrics",
        ),
        (
            lambda a: a.one("Service", "tezi-triton")["spec"]["ports"][0].update(port=9001),
            "is headless",
        ),
        (
            lambda a: a.one("NetworkPolicy", "tezi-redis")["spec"]["ingress"][0]["ports"].append(
                {"port": 6380}
            ),
            "opens 6380",
        ),
        (
            lambda a: a.one("Deployment", "tezi-redis")["spec"]["template"]["spec"][
                "volumes"
            ].pop(),
            "has volumes",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-gateway")["envFrom"][1]["secretRef"].update(
                name="tezzi"
            ),
            "names Secret/tezzi",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-gateway")["env"].append(
                {"name": "TEZI_DRAINS", "value": "1"}
            ),
            "TEZI_DRAINS is no setting",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-gateway")["env"].append(
                {"name": "TEZI_ADMIN_TOKEN", "value": "x"}
            ),
            "stands in clear",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-gateway")["env"].append(
                {"name": "TEZI_HTTP_PORT", "value": "8081"}
            ),
            "TEZI_HTTP_PORT is not port http",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-gateway")["livenessProbe"]["httpGet"].update(
                port="web"
            ),
            "livenessProbe asks port web",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-redis").pop("readinessProbe"),
            "has no probes",
        ),
        (
            lambda a: a.one("Deployment", "tezi-gateway")["spec"]["template"]["spec"].update(
                terminationGracePeriodSeconds=15
            ),
            "killed before it has drained",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-triton")["env"].append(
                {"name": "TEZI_TRITON_MAX_CONNECTION_AGE_S", "value": "60"}
            ),
            "ends before gateways have left it",
        ),
        (
            lambda a: container(a, "Job", "tezi-migrate")["securityContext"].pop("capabilities"),
            "may do more than it needs",
        ),
        (
            lambda a: container(a, "Deployment", "tezi-triton").update(image="tezi-triton:latest"),
            "is no fixed version",
        ),
        (
            lambda a: a.one("Deployment", "tezi-gateway")["spec"].update(replicas=3),
            "number of replicas beside",
        ),
        (
            lambda a: a.one("Ingress", "tezi")["spec"]["rules"][0]["http"]["paths"][0]["backend"][
                "service"
            ].update(name="nginx"),
            "Ingress leads to nginx",
        ),
    ],
)
def test_what_does_not_fit_is_found(broken: Break, found: str) -> None:
    all_ = Manifests(copy.deepcopy(built("cpu")))
    broken(all_)
    assert any(found in line for line in problems(all_))


def test_commands_are_those_of_tezi(overlay: Manifests) -> None:
    for pods in overlay.pods():
        for each in pods.containers:
            commands = [each.get("command", [])]
            commands += [
                each[probe]["exec"]["command"]
                for probe in each
                if "Probe" in probe and "exec" in each[probe]
            ]
            for command in commands:
                joined = command[2].split(" && ") if command[:2] == ["sh", "-c"] else []
                for words in (command, *(part.split() for part in joined)):
                    if words[:1] == ["tezi"] and (
                        words[1] in COMMANDS or words[1] != "serve-triton"
                    ):
                        assert_command(words)


def test_pods_are_read_truly(overlay: Manifests) -> None:
    gateway = container(overlay, "Deployment", "tezi-gateway")
    assert gateway["command"] == ["python3", "-m", "gateway"]
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/live"
    triton = container(overlay, "Deployment", "tezi-triton")
    *command, heartbeat = triton["command"]
    assert command == ["tezi", "serve-triton", "--heartbeat"]
    for probe in ("startupProbe", "readinessProbe"):
        assert f"find {heartbeat} " in triton[probe]["exec"]["command"][-1]


def test_a_heartbeat_is_young_or_it_is_none(overlay: Manifests, tmp_path: Path) -> None:
    triton = container(overlay, "Deployment", "tezi-triton")
    heartbeat = tmp_path / "golden-row"
    *shell, line = triton["readinessProbe"]["exec"]["command"]
    command = [*shell, line.replace("/tmp/golden-row", str(heartbeat))]

    def ready() -> bool:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0

    assert not ready()
    heartbeat.touch()
    assert ready()
    long_ago = time.time() - 11
    os.utime(heartbeat, (long_ago, long_ago))
    assert not ready()


def test_images_are_of_this_release(overlay: Manifests) -> None:
    text = (PROJECT_ROOT / "pyproject.toml").read_text("utf-8")
    images = {each["image"] for pods in overlay.pods() for each in pods.containers}
    own = {image for image in images if image.startswith("tezi-")}
    assert len(own) >= 2
    assert all(f'\nversion = "{image.rsplit(":", 1)[1]}"\n' in text for image in own)


def test_the_gpu_overlay_asks_for_one(overlay: Manifests) -> None:
    (pods,) = (each for each in overlay.pods() if each.owner == "Deployment/tezi-triton")
    (triton,) = pods.containers
    on_gpu = triton["image"].startswith("tezi-triton-gpu:")
    assert on_gpu == (triton["resources"]["limits"].get("nvidia.com/gpu") == 1)
    assert on_gpu == (overlay.environment(triton).get("TEZI_GPU") == "on")
    gpu = Manifests(built("gpu"))
    assert container(gpu, "Deployment", "tezi-triton")["image"].startswith("tezi-triton-gpu:")


def test_redis_is_configured_as_everywhere() -> None:
    copied = FOLDER / "base" / "redis" / "redis.conf"
    assert copied.read_text("utf-8") == (PROJECT_ROOT / "config" / "redis.conf").read_text("utf-8")


def test_the_policy_is_the_same_everywhere_but_for_the_numbers_of_large(
    overlay: Manifests,
) -> None:
    large = {"tezi-gateway": (12, 80), "tezi-triton": (10, 80)}
    for autoscaler in overlay.of("HorizontalPodAutoscaler"):
        spec = autoscaler["spec"]
        (metric,) = spec["metrics"]
        assert metric["resource"]["target"]["averageUtilization"] == 70
        found = (spec["minReplicas"], spec["maxReplicas"])
        assert found in ((2, 10), large[autoscaler["metadata"]["name"]])
        assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 120
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_gateways_may_ask_triton_on_the_ports_that_they_use() -> None:
    text = (FOLDER / "base" / "network-policies.yaml").read_text(encoding="utf-8")
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in yaml.safe_load_all(text)}

    def leads(peers: list[Document], component: str) -> bool:
        """Whether one of the peers is this component."""
        for peer in peers:
            selector = peer.get("podSelector", {})
            listed = [e["values"] for e in selector.get("matchExpressions", [])]
            named = selector.get("matchLabels", {}).get("app.kubernetes.io/component")
            if named == component or any(component in values for values in listed):
                return True
        return False

    let_in, let_out = (
        {
            port["port"]
            for rule in policies[name][way]
            if leads(rule.get(end, []), component)
            for port in rule["ports"]
        }
        for name, way, end, component in (
            ("tezi-triton", "ingress", "from", "gateway"),
            ("tezi-ask", "egress", "to", "triton"),
        )
    )
    assert {"http", "grpc", "metrics"} <= let_in & let_out
