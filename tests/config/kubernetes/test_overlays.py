"""Each overlay, built: valid for two releases of Kubernetes, and of one piece."""

import functools
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from gateway.cli import COMMANDS
from preprocess.settings import unknown_variables
from tests.config.kubernetes.kustomize import FOLDER, OVERLAYS, Document, built
from tests.config.kubernetes.manifests import Manifests
from tests.config.test_schedules import assert_command
from tests.paths import PROJECT_ROOT

# The oldest that still gets fixes, and the newest that the package knows.
RELEASES = ("1.32", "1.37")
CUSTOM = "keda.sh/v1alpha1"  # see test_queue_time.py
# Made by people, by commands that docs/kubernetes.md names.
SECRETS = {"tezi", "tezi-admin", "tezi-redis", "tezi-postgres"}
SERVERS = ("Deployment", "StatefulSet")


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Manifests:
    return Manifests(built(request.param))


@functools.cache
def _contents(name: str, release: str) -> Any:
    return _read_contents(name, release)


_read_contents = kubernetes_validate.utils.schema_contents


@pytest.mark.parametrize("release", RELEASES)
def test_every_document_fits_the_schemas(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The definitions are a megabyte, and are read anew for each document otherwise.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", _contents)
    texts = {json.dumps(each, sort_keys=True) for name in OVERLAYS for each in built(name)}
    for document in map(json.loads, sorted(texts)):
        if document["apiVersion"] != CUSTOM:
            kubernetes_validate.validate(document, release, strict=True)
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="port"):
        kubernetes_validate.validate(wrong, release, strict=True)


def test_selectors_match_one_workload_and_its_ports(overlay: Manifests) -> None:
    for pods in overlay.pods():
        if pods.kind in SERVERS:
            assert overlay.matching(pods.workload["spec"]["selector"]) == [pods]
    for service in overlay.of("Service"):
        (pods,) = overlay.matching({"matchLabels": service["spec"]["selector"]})
        for port in service["spec"]["ports"]:
            target = pods.ports[port.get("targetPort", port["port"])]
            assert service["spec"].get("clusterIP") != "None" or target == port["port"]
    for budget in overlay.of("PodDisruptionBudget"):
        assert len(overlay.matching(budget["spec"]["selector"])) == 1
    for ingress in overlay.of("Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            behind = path["backend"]["service"]
            ports = overlay.one("Service", behind["name"])["spec"]["ports"]
            assert behind["port"]["name"] in {port["name"] for port in ports}


def test_the_ingress_publishes_every_route_except_those_for_operators() -> None:
    published = [
        (path["pathType"], path["path"])
        for ingress in Manifests(built("cpu")).of("Ingress")
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    ]
    routes = json.loads((PROJECT_ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"]
    hidden = {
        route
        for route in routes
        if not any(
            route == path or (kind == "Prefix" and route.startswith(f"{path}/"))
            for kind, path in published
        )
    }
    assert hidden == {"/live", "/ready", "/metrics", "/api/v1/metrics"}


def test_the_admin_token_is_for_gateways_alone(overlay: Manifests) -> None:
    told = {owner for owner, _, name in overlay.references() if name == "tezi-admin"}
    assert told == {"Deployment/tezi-gateway"}


def test_network_policies_open_existing_ports(overlay: Manifests) -> None:
    opened: dict[str, set[str | int]] = {}
    for policy in overlay.of("NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            for pods in overlay.matching(policy["spec"]["podSelector"]):
                ports = {port["port"] for port in rule["ports"]}
                assert ports <= pods.ports.keys()
                opened.setdefault(pods.owner, set()).update(ports)
        for rule in policy["spec"].get("egress", []):
            for peer in rule.get("to", []):
                for pods in overlay.matching(peer["podSelector"]) if "podSelector" in peer else ():
                    assert {port["port"] for port in rule["ports"]} <= pods.ports.keys()
    assert opened["Deployment/tezi-triton"] >= {"http", "grpc", "metrics"}


def test_everything_that_a_pod_refers_to_exists(overlay: Manifests) -> None:
    for owner, kind, name in overlay.references():
        assert name in (SECRETS if kind == "Secret" else overlay.names(kind)), owner
    for pods in overlay.pods():
        there = {volume["name"] for volume in pods.spec.get("volumes", [])}
        claims = pods.workload["spec"].get("volumeClaimTemplates", [])
        there |= {claim["metadata"]["name"] for claim in claims}
        mounts = [mount for each in pods.containers for mount in each.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == there, pods.owner


def test_environments_hold_known_settings_and_no_secrets(overlay: Manifests) -> None:
    for pods in overlay.pods():
        for container in pods.containers:
            told = overlay.environment(container)
            assert list(unknown_variables(told)) == [], pods.owner
            assert not [name for name in told if re.search("PASSWORD|TOKEN|SECRET", name)]
            if "TEZI_TRITON_HOST" in told and container["name"] == "gateway":
                assert told["TEZI_TRITON_HOST"] in overlay.names("Service")
                assert int(told["TEZI_HTTP_PORT"]) == pods.ports["http"]


def test_grace_periods_cover_the_drain(overlay: Manifests) -> None:
    for name in ("gateway", "triton"):
        spec = overlay.one("Deployment", f"tezi-{name}")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        pause_s = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
        told = overlay.environment(container)
        drained_s = pause_s + float(told["TEZI_DRAIN_S"])
        assert spec["terminationGracePeriodSeconds"] >= drained_s + 5
        # Names are kept for five seconds, and ages of connections are spread by a tenth.
        age_s = float(told["TEZI_TRITON_MAX_CONNECTION_AGE_S"])
        assert name == "gateway" or pause_s >= 1.1 * age_s + 5


def test_pods_are_confined_limited_and_probed(overlay: Manifests) -> None:
    for pods in overlay.pods():
        pod = pods.spec["securityContext"]
        assert pod["runAsNonRoot"]
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pods.spec["automountServiceAccountToken"] is False
        for each in pods.containers:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= each["resources"]["requests"].keys()
            assert "memory" in each["resources"]["limits"]
            assert re.search(r":\d", each["image"]), each["image"]
        for each in pods.spec["containers"] if pods.kind in SERVERS else ():
            for probe in ("readinessProbe", "livenessProbe"):
                port = each[probe].get("httpGet", {}).get("port")
                assert port is None or port in pods.ports


def test_each_deployment_has_one_autoscaler(overlay: Manifests) -> None:
    scaled = [
        each["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for each in overlay.of(kind)
    ]
    assert sorted(scaled) == ["tezi-gateway", "tezi-triton"]
    assert not [name for name in scaled if "replicas" in overlay.one("Deployment", name)["spec"]]
    for autoscaler in overlay.of("HorizontalPodAutoscaler"):
        spec = autoscaler["spec"]
        (metric,) = spec["metrics"]
        assert metric["resource"]["target"]["averageUtilization"] == 70
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_commands_exist(overlay: Manifests) -> None:
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


def container(all_: Manifests, name: str) -> Document:
    found: Document = all_.one("Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_an_old_heartbeat_fails_the_probe(tmp_path: Path) -> None:
    triton = container(Manifests(built("cpu")), "tezi-triton")
    *command, file = triton["command"]
    assert command == ["tezi", "serve-triton", "--heartbeat"]
    heartbeat = tmp_path / "golden-row"
    *shell, line = triton["readinessProbe"]["exec"]["command"]
    assert file in line
    probe = [*shell, line.replace(file, str(heartbeat))]

    def ready() -> bool:
        return subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0

    assert not ready()
    soon = time.time() + 60  # the machine may be slow
    heartbeat.touch()
    os.utime(heartbeat, (soon, soon))
    assert ready()
    os.utime(heartbeat, (soon - 80, soon - 80))
    assert not ready()


def test_images_are_of_this_release_and_for_gpus_where_one_is_requested(
    overlay: Manifests,
) -> None:
    text = (PROJECT_ROOT / "pyproject.toml").read_text("utf-8")
    images = {each["image"] for pods in overlay.pods() for each in pods.containers}
    own = {image for image in images if image.startswith("tezi-")}
    assert len(own) >= 2
    assert all(f'\nversion = "{image.rsplit(":", 1)[1]}"\n' in text for image in own)
    triton = container(overlay, "tezi-triton")
    on_gpu = triton["image"].startswith("tezi-triton-gpu:")
    assert on_gpu == (triton["resources"]["limits"].get("nvidia.com/gpu") == 1)
    assert on_gpu == (overlay.environment(triton).get("TEZI_GPU") == "on")
    assert on_gpu == (overlay.documents == built("gpu"))


def test_redis_has_the_shared_configuration() -> None:
    copied = FOLDER / "base" / "redis" / "redis.conf"
    assert copied.read_text("utf-8") == (PROJECT_ROOT / "config" / "redis.conf").read_text("utf-8")
