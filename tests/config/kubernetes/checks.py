"""What no schema sees: each check gives a line for each thing that does not fit together."""

import re
from collections.abc import Callable, Iterator

from preprocess.settings import unknown_variables
from tests.config.kubernetes.kustomize import Document
from tests.config.kubernetes.manifests import Manifests, Pods

# Made by people, by commands that docs/kubernetes.md names.
SECRETS = {"tezi", "tezi-redis", "tezi-postgres"}
_SELECTED = ("Deployment", "StatefulSet")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_SECRET_WORDS = re.compile(r"password|token|secret", re.IGNORECASE)


def selectors(all_: Manifests) -> Iterator[str]:
    """Every selector means the pods of exactly one workload, and a workload its own."""
    for pods in all_.pods():
        selector = pods.workload["spec"].get("selector")
        if pods.kind in _SELECTED and all_.matching(selector) != [pods]:
            yield f"{pods.owner} does not select its own pods alone"
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        for each in all_.of(kind):
            selector = each["spec"].get("podSelector", each["spec"].get("selector"))
            selector = {"matchLabels": selector} if kind == "Service" else selector
            found = len(all_.matching(selector))
            if found == 0 or (found > 1 and kind != "NetworkPolicy"):
                yield f"{kind}/{each['metadata']['name']} selects {found} workloads"


def services(all_: Manifests) -> Iterator[str]:
    """The ports of a Service are ports of its pods, and an Ingress leads to a port of a Service."""
    for service in all_.of("Service"):
        name = service["metadata"]["name"]
        for pods in all_.matching({"matchLabels": service["spec"]["selector"]}):
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in pods.ports:
                    yield f"Service/{name} leads to port {target}, which {pods.owner} has not"
                elif (
                    service["spec"].get("clusterIP") == "None"
                    and pods.ports[target] != port["port"]
                ):
                    yield f"Service/{name} is headless, so its ports must be those of the pods"
    ports = {
        (service["metadata"]["name"], port["name"])
        for service in all_.of("Service")
        for port in service["spec"]["ports"]
    }
    for ingress in all_.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                behind = path["backend"]["service"]
                if (behind["name"], behind["port"]["name"]) not in ports:
                    yield f"Ingress leads to {behind['name']}:{behind['port']['name']}"


def policies(all_: Manifests) -> Iterator[str]:
    """A port that a policy names is one of the pods that it lets reach."""
    for policy in all_.of("NetworkPolicy"):
        spec, name = policy["spec"], policy["metadata"]["name"]
        for rule in spec.get("ingress", []):
            for pods in all_.matching(spec["podSelector"]):
                yield from _open(name, rule.get("ports", []), pods)
            for peer in rule.get("from", []):
                if "podSelector" in peer and not all_.matching(peer["podSelector"]):
                    yield f"NetworkPolicy/{name} lets in pods that there are none of"
        for rule in spec.get("egress", []):
            for peer in rule.get("to", []):
                for pods in all_.matching(peer.get("podSelector", {"matchLabels": {"": ""}})):
                    yield from _open(name, rule.get("ports", []), pods)


def _open(name: str, ports: list[Document], pods: Pods) -> Iterator[str]:
    for port in ports:
        if port["port"] not in pods.ports:
            yield f"NetworkPolicy/{name} opens {port['port']}, which {pods.owner} has not"


def volumes(all_: Manifests) -> Iterator[str]:
    """What is mounted is there, what is there is mounted, and nothing is mounted twice."""
    for pods in all_.pods():
        there = {volume["name"] for volume in pods.spec.get("volumes", [])}
        claims = pods.workload["spec"].get("volumeClaimTemplates", [])
        there |= {claim["metadata"]["name"] for claim in claims}
        used = set()
        for container in pods.containers:
            mounts = container.get("volumeMounts", [])
            paths = [mount["mountPath"] for mount in mounts]
            used |= {mount["name"] for mount in mounts}
            if len(paths) != len(set(paths)):
                yield f"{pods.owner} mounts two volumes on one path"
            writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
            if container["image"].startswith("tezi-") and not {"/data", "/tmp"} <= writable:
                yield f"{pods.owner}/{container['name']} has nowhere to write"
        if used != there:
            yield f"{pods.owner} has volumes {sorted(there)}, and mounts {sorted(used)}"


def references(all_: Manifests) -> Iterator[str]:
    """Every object that a pod names exists, or is a Secret that people make."""
    for owner, kind, name in all_.references():
        known = SECRETS if kind == "Secret" else all_.names(kind)
        if name not in known:
            yield f"{owner} names {kind}/{name}, which there is not"


def settings(all_: Manifests) -> Iterator[str]:
    """Every TEZI_ variable is a setting, agrees with the ports, and none holds a secret."""
    for pods in all_.pods():
        for container in pods.containers:
            told = all_.environment(container)
            where = f"{pods.owner}/{container['name']}"
            yield from (f"{where}: {name} is no setting" for name in unknown_variables(told))
            for name, value in told.items():
                if _SECRET_WORDS.search(name):
                    yield f"{where}: {name} stands in clear"
                for reference in re.findall(r"\$\((\w+)\)", value):
                    if reference not in {each["name"] for each in container["env"]}:
                        yield f"{where}: {name} uses {reference}, which is not set"
            for port in container.get("ports", []):
                setting = _PORT_SETTINGS.get(
                    (pods.labels["app.kubernetes.io/component"], port["name"])
                )
                if setting and told[setting] != str(port["containerPort"]):
                    yield f"{where}: {setting} is not port {port['name']}"
    addresses = {"TEZI_TRITON_HOST", "TEZI_REDIS_URL"}
    for config in all_.of("ConfigMap"):
        for name in addresses & config.get("data", {}).keys():
            if config["data"][name] not in all_.names("Service"):
                yield f"{name} names no Service"


_PORT_SETTINGS = {
    ("gateway", "http"): "TEZI_HTTP_PORT",
    ("triton", "http"): "TEZI_TRITON_HTTP_PORT",
    ("triton", "grpc"): "TEZI_TRITON_GRPC_PORT",
    ("triton", "metrics"): "TEZI_TRITON_METRICS_PORT",
}


def probes(all_: Manifests) -> Iterator[str]:
    """A server has readiness and liveness probes, and they ask a port that is there."""
    for pods in all_.pods():
        for container in pods.spec["containers"]:
            where = f"{pods.owner}/{container['name']}"
            if (
                pods.kind in _SELECTED
                and not {"readinessProbe", "livenessProbe"} <= container.keys()
            ):
                yield f"{where} has no probes"
            for probe in _PROBES:
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if port is not None and port not in pods.ports:
                    yield f"{where}: {probe} asks port {port}, which there is not"


def draining(all_: Manifests) -> Iterator[str]:
    """A pod is given the time that its preStop and its own drain take."""
    for pods in all_.pods():
        for container in pods.spec["containers"]:
            if not container["image"].startswith("tezi-") or pods.kind != "Deployment":
                continue
            _, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
            told = all_.environment(container)
            drain = float(told["TEZI_DRAIN_S"])
            age = float(told["TEZI_TRITON_MAX_CONNECTION_AGE_S"])
            # gRPC clients spread the age by a tenth, and names are kept for five seconds.
            if container["name"] == "triton" and float(seconds) < 1.1 * age + 5:
                yield f"{pods.owner} ends before gateways have left it"
            if pods.spec["terminationGracePeriodSeconds"] < float(seconds) + drain + 5:
                yield f"{pods.owner} is killed before it has drained"


def security(all_: Manifests) -> Iterator[str]:
    """What the restricted Pod Security Standard asks for, and a read-only root file system."""
    for pods in all_.pods():
        pod = pods.spec["securityContext"]
        if not (pod["runAsNonRoot"] and pod["runAsUser"] > 0):
            yield f"{pods.owner} may be root"
        if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pods.owner} has no seccomp profile"
        if pods.spec.get("automountServiceAccountToken") is not False:
            yield f"{pods.owner} holds a token of the Kubernetes API"
        for container in pods.containers:
            wanted = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            if container.get("securityContext") != wanted:
                yield f"{pods.owner}/{container['name']} may do more than it needs"


def resources(all_: Manifests) -> Iterator[str]:
    """CPU and memory are asked for, memory is limited, and an image has a tag that stays."""
    for pods in all_.pods():
        for container in pods.containers:
            where = f"{pods.owner}/{container['name']}"
            asked, limits = (container["resources"].get(key, {}) for key in ("requests", "limits"))
            if not {"cpu", "memory"} <= asked.keys() or "memory" not in limits:
                yield f"{where} has no bounds"
            if not re.search(r":\d", container["image"]):
                yield f"{where}: {container['image']} is no fixed version"


def scaling(all_: Manifests) -> Iterator[str]:
    """One autoscaler a Deployment, whose pods are of no fixed number and ask for CPU."""
    scaled: list[str] = []
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for each in all_.of(kind):
            target = each["spec"]["scaleTargetRef"]
            scaled.append(target["name"])
            if target["name"] not in all_.names(target["kind"]):
                yield f"{kind} scales {target['name']}, which there is not"
            elif "replicas" in all_.one(target["kind"], target["name"])["spec"]:
                yield f"{target['name']} has a number of replicas beside its autoscaler"
    if sorted(scaled) != ["tezi-gateway", "tezi-triton"]:
        yield f"scaled are {sorted(scaled)}"
    for budget in all_.of("PodDisruptionBudget"):
        if budget["metadata"]["name"] not in scaled:
            yield f"PodDisruptionBudget/{budget['metadata']['name']} guards what is not scaled"


CHECKS: tuple[Callable[[Manifests], Iterator[str]], ...] = (
    selectors,
    services,
    policies,
    volumes,
    references,
    settings,
    probes,
    draining,
    security,
    resources,
    scaling,
)


def problems(all_: Manifests) -> list[str]:
    """Everything that any check finds."""
    return [line for check in CHECKS for line in check(all_)]
