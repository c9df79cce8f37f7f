"""The compose files as they are written: what services promise, and what stands elsewhere too.

That they work is seen by `make test-compose`.
"""

import re
import subprocess
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
JOBS = ("migrate", "first-model", "tools")
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
def test_no_secret_stands_in_a_file(path: Path) -> None:
    text = path.read_text("utf-8")
    secret = re.compile(r"^\s*\w*(PASSWORD|TOKEN|SECRET)\w*: *(?P<value>.+)$", re.MULTILINE)
    for found in secret.finditer(text):
        assert re.fullmatch(r"\$\{[A-Z_]+:\?.+docs/containers\.md\}", found["value"]), found[0]
    assert not re.search(r"://[^/\s]*:[^/\s]*@", text)


def test_the_example_names_every_secret_and_gives_none() -> None:
    lines = (PROJECT_ROOT / "config" / "docker" / "env.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    required = {
        found["name"]
        for found in VARIABLE.finditer(MAIN.read_text("utf-8"))
        if found["rest"].startswith(":?")
    }
    assert given == dict.fromkeys(required, "")


def test_a_gateway_is_given_the_time_that_it_drains_for() -> None:
    gateway = services()["gateway"]
    drain_s = float(gateway["environment"]["TEZI_DRAIN_S"])
    assert seconds(gateway["stop_grace_period"]) >= drain_s + 2


def test_the_script_that_replaces_containers_says_how_it_is_used() -> None:
    script = PROJECT_ROOT / "config" / "docker" / "roll"
    refused = subprocess.run(
        [str(script), "postgres"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "usage:" in refused.stderr


def test_connections_of_all_processes_fit_into_postgresql() -> None:
    command = services()["postgres"]["command"]
    (most,) = [int(word.split("=")[1]) for word in command if word.startswith("max_connections=")]
    # Ten gateways, Triton's features model, and the jobs.
    assert most >= (10 + 1 + len(JOBS)) * Settings.model_fields["postgres_pool_size"].default


def test_only_nginx_and_the_pages_of_monitoring_are_reached_from_outside() -> None:
    published = {name for name, service in services().items() if "ports" in service}
    assert published == {"nginx", "prometheus", "grafana"}
    networks = yaml.safe_load(MAIN.read_text("utf-8"))["networks"]
    assert networks["back"] == {"internal": True}
    for name in ("triton", "redis", "postgres"):
        assert services()[name]["networks"] == ["back"]


def test_files_that_are_mounted_are_there() -> None:
    for name, service in services().items():
        for mount in service.get("volumes", []):
            if mount.startswith("./"):
                source, _, mode = mount.split(":")
                assert (PROJECT_ROOT / source).exists(), name
                assert mode == "ro", name


def test_a_gpu_is_asked_for_by_name_everywhere() -> None:
    changed = services(GPU)
    assert changed.keys() == {"triton", "gateway", *JOBS}
    assert {service["environment"]["TEZI_GPU"] for service in changed.values()} == {"on"}
