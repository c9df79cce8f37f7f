"""The compose files as they are written: what services promise, and what stands elsewhere too.

That they work is seen by `make test-compose`.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from preprocess.errors import SettingsError
from preprocess.settings import Settings, load_settings
from tests.paths import PROJECT_ROOT

MAIN = PROJECT_ROOT / "docker-compose.yml"
GPU = PROJECT_ROOT / "docker-compose.gpu.yml"
JOBS = ("migrate", "demo", "tools")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?P<rest>(?::[-?][^}]*)?)\}")
FILES = pytest.mark.parametrize("path", [MAIN, GPU], ids=lambda path: path.name)


@cache
def services(path: Path = MAIN) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))["services"]
    return found


def filled_in(text: str) -> str:
    """`text` with its variables as compose sees them where the file names a default."""
    return VARIABLE.sub(
        lambda found: found["rest"][2:] if found["rest"].startswith(":-") else "given" * 8, text
    )


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("name", services())
def test_a_service_is_confined_and_checked(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert service.get("user") != "root"
    assert service["deploy"]["resources"]["limits"].keys() == {"memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    # A name of its own would allow one container of it only.
    assert "container_name" not in service
    if name in JOBS:
        assert service["restart"] in ("on-failure", "no")
    else:
        assert "healthcheck" in service
        assert service["restart"] == "unless-stopped"
        assert seconds(service["stop_grace_period"]) > 0


@FILES
def test_images_are_pinned_and_variables_are_settings(path: Path) -> None:
    for name, service in services(path).items():
        if "image" in service:
            image, _, tag = filled_in(service["image"]).rpartition(":")
            assert image, name
            assert tag not in ("", "latest", "main", "edge"), name
        given = {
            key.removeprefix("TEZI_").lower(): filled_in(str(value))
            for key, value in service.get("environment", {}).items()
            if key.startswith("TEZI_")
        }
        assert given.keys() <= Settings.model_fields.keys(), name
        try:
            load_settings(**given)
        except SettingsError as error:
            pytest.fail(f"{name}: {error}")


@FILES
def test_no_file_holds_a_secret(path: Path) -> None:
    text = path.read_text("utf-8")
    secret = re.compile(r"^\s*\w*(PASSWORD|TOKEN|SECRET)\w*: *(?P<value>.+)$", re.MULTILINE)
    for found in secret.finditer(text):
        assert re.fullmatch(r"\$\{[A-Z_]+:\?.+docs/containers\.md\}", found["value"]), found[0]
    assert not re.search(r"://[^/\s]*:[^/\s$]*@", text)


def test_the_example_lists_every_secret_without_a_value() -> None:
    lines = (PROJECT_ROOT / "config" / "docker" / "env.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    required = {
        found["name"]
        for found in VARIABLE.finditer(MAIN.read_text("utf-8"))
        if found["rest"].startswith(":?")
    }
    assert given == dict.fromkeys(required, "")


def test_the_grace_period_of_a_gateway_covers_its_drain() -> None:
    gateway = services()["gateway"]
    drain_s = float(gateway["environment"]["TEZI_DRAIN_S"])
    assert seconds(gateway["stop_grace_period"]) >= drain_s + 2


def test_postgresql_has_connections_for_all_processes() -> None:
    command = services()["postgres"]["command"]
    (most,) = [int(word.split("=")[1]) for word in command if word.startswith("max_connections=")]
    # Ten gateways, Triton's features model, and the jobs.
    assert most >= (10 + 1 + len(JOBS)) * Settings.model_fields["postgres_pool_size"].default


def test_only_nginx_and_monitoring_are_published() -> None:
    published = {name for name, service in services().items() if "ports" in service}
    assert published == {"nginx", "prometheus", "grafana"}
    networks = yaml.safe_load(MAIN.read_text("utf-8"))["networks"]
    assert networks["back"] == {"internal": True}
    for name in ("triton", "redis", "postgres"):
        assert services()[name]["networks"] == ["back"]


def test_mounted_files_exist() -> None:
    for name, service in services().items():
        for mount in service.get("volumes", []):
            if mount.startswith("./"):
                source, _, mode = mount.split(":")
                assert (PROJECT_ROOT / source).exists(), name
                assert mode == "ro", name


def test_gateways_mount_nothing_that_triton_runs_and_alone_have_the_admin_token() -> None:
    targets = {mount.split(":")[1] for mount in services()["gateway"]["volumes"]}
    assert targets == {"/data/versions", "/data/cache"}
    told = {name for name in services() if "TEZI_ADMIN_TOKEN" in str(services()[name])}
    assert told == {"gateway"}


def test_the_demo_market_needs_a_profile() -> None:
    unasked = [service for service in services().values() if "profiles" not in service]
    assert not [each for each in unasked if "demo" in str(each.get("command"))]


def test_every_service_knows_of_the_gpu() -> None:
    changed = services(GPU)
    assert changed.keys() == {"triton", "gateway", *JOBS}
    assert {service["environment"]["TEZI_GPU"] for service in changed.values()} == {"on"}
