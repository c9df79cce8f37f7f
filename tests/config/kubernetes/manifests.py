"""The documents of one overlay, and what each says of pods, ports, volumes and names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.config.kubernetes.kustomize import Document

_WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")


@dataclass(frozen=True)
class Pods:
    """The pods that one workload makes."""

    owner: str
    kind: str
    spec: Document
    labels: dict[str, str]
    workload: Document

    @property
    def containers(self) -> list[Document]:
        """Those that start up first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str | int, int]:
        """Numbers of the container ports, by name and by number."""
        found: dict[str | int, int] = {}
        for container in self.containers:
            for port in container.get("ports", []):
                found[port["containerPort"]] = port["containerPort"]
                if "name" in port:
                    found[port["name"]] = port["containerPort"]
        return found


@dataclass(frozen=True)
class Manifests:
    """One overlay, built."""

    documents: Sequence[Document]

    def of(self, kind: str) -> list[Document]:
        """All documents of a kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str, name: str) -> Document:
        """The document of this kind and name."""
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"] == name)
        return found

    def names(self, kind: str) -> set[str]:
        """The names of all documents of a kind."""
        return {document["metadata"]["name"] for document in self.of(kind)}

    def pods(self) -> list[Pods]:
        """What every workload starts."""
        return [_pods(each) for each in self.documents if each["kind"] in _WORKLOADS]

    def matching(self, selector: Document) -> list[Pods]:
        """The pods that a label selector means."""
        return [pods for pods in self.pods() if _matches(selector, pods.labels)]

    def environment(self, container: Document) -> dict[str, str]:
        """What a container is told in clear: references to Secrets are left out."""
        told: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                told |= self.one("ConfigMap", source["configMapRef"]["name"]).get("data", {})
        told |= {
            variable["name"]: variable["value"]
            for variable in container.get("env", [])
            if "value" in variable
        }
        return told

    def references(self) -> Iterator[tuple[str, str, str]]:
        """(owner, kind, name) of each ConfigMap, Secret, claim and account that a pod names."""
        for pods in self.pods():
            if "serviceAccountName" in pods.spec:
                yield pods.owner, "ServiceAccount", pods.spec["serviceAccountName"]
            for volume in pods.spec.get("volumes", []):
                if "configMap" in volume:
                    yield pods.owner, "ConfigMap", volume["configMap"]["name"]
                if "persistentVolumeClaim" in volume:
                    claim = volume["persistentVolumeClaim"]["claimName"]
                    yield pods.owner, "PersistentVolumeClaim", claim
                if "secret" in volume:
                    yield pods.owner, "Secret", volume["secret"]["secretName"]
            for container in pods.containers:
                yield from _named(pods.owner, container)


def _named(owner: str, container: Document) -> Iterator[tuple[str, str, str]]:
    kinds = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    keys = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
    for source in container.get("envFrom", []):
        for field, kind in kinds.items():
            if field in source:
                yield owner, kind, source[field]["name"]
    for variable in container.get("env", []):
        for field, kind in keys.items():
            if field in variable.get("valueFrom", {}):
                yield owner, kind, variable["valueFrom"][field]["name"]


def _pods(workload: Document) -> Pods:
    spec: Any = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec["template"]
    return Pods(
        owner=f"{workload['kind']}/{workload['metadata']['name']}",
        kind=workload["kind"],
        spec=template["spec"],
        labels=template["metadata"]["labels"],
        workload=workload,
    )


def _matches(selector: Document, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for expression in selector.get("matchExpressions", []):
        among = labels.get(expression["key"]) in expression["values"]
        if among != {"In": True, "NotIn": False}[expression["operator"]]:
            return False
    return True
