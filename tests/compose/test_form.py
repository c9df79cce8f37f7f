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
from preprocess.runtime.nginx import FAIL_TIMEOUT_S, LEAVING, MAIN_FILE, MAX_FAILS
from preprocess.settings import PROJECT_ROOT, Settings, load_settings
from tests.performance.load_test.whole_stack import CACHE

MAIN = PROJECT_ROOT / "docker-compose.yml"
GPU = PROJECT_ROOT / "docker-compose.gpu.yml"
JOBS = ("migrate", "first-model", "tools")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?P<rest>(?::[-?][^}]*)?)\}")
SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}


@cache
def services(path: Path = MAIN) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))["services"]
    return found


def filled_in(text: str) -> str:
    """`text` with its variables as compose sees them where the file names a default."""
    return VARIABLE.sub(
        lambda found: found["rest"][2:] if found["rest"].startswith(":-") else "given", text
    )


def size(text: str) -> int:
    return int(text[:-1]) * SIZES[text[-1]]


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


@pytest.mark.parametrize("name", services())
def test_a_service_is_held_in(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert size(service["deploy"]["resources"]["limits"]["memory"]) > 0
    assert service["deploy"]["resources"]["limits"]["pids"] > 0
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert not service.get("privileged")
    assert service.get("user") != "root"
    # A name of its own would allow one container of it only.
    assert "container_name" not in service


@pytest.mark.parametrize("name", [name for name in services() if name not in JOBS])
def test_a_service_says_whether_it_works_and_ends_in_time(name: str) -> None:
    service = services()[name]
    check = service["healthcheck"]
    assert seconds(check["timeout"]) < seconds(check["interval"])
    assert service["restart"] == "unless-stopped"
    assert seconds(service["stop_grace_period"]) > 0


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_not_started_for_ever(name: str) -> None:
    assert services()[name]["restart"] in ("on-failure", "no")


@pytest.mark.parametrize("path", [MAIN, GPU], ids=lambda path: path.name)
def test_images_are_pinned_to_a_line_of_releases(path: Path) -> None:
    for name, service in services(path).items():
        if "image" in service:
            image, _, tag = filled_in(service["image"]).rpartition(":")
            assert image, name
            assert tag, name
            assert tag not in ("latest", "main", "edge"), name


@pytest.mark.parametrize("path", [MAIN, GPU], ids=lambda path: path.name)
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


def test_containers_cache_as_the_load_test_does() -> None:
    """Its figures hold for them."""
    wanted = {f"TEZI_{name.upper()}": f"{value:g}" for name, value in CACHE.items()}
    given = services()["gateway"]["environment"]
    assert {name: filled_in(given[name]) for name in wanted} == wanted
    lines = (PROJECT_ROOT / "config/kubernetes/base/settings.env").read_text("utf-8").splitlines()
    assert {f"{name}={value}" for name, value in wanted.items()} <= set(lines)


@pytest.mark.parametrize("path", [MAIN, GPU], ids=lambda path: path.name)
def test_settings_are_settings(path: Path) -> None:
    for name, service in services(path).items():
        environment = service.get("environment", {})
        given = {
            key.removeprefix("TEZI_").lower(): filled_in(str(value))
            for key, value in environment.items()
            if key.startswith("TEZI_")
        }
        assert given.keys() <= Settings.model_fields.keys(), name
        try:
            load_settings(**given)
        except SettingsError as error:
            pytest.fail(f"{name}: {error}")


def test_a_gateway_is_given_the_time_that_it_drains_for() -> None:
    gateway = services()["gateway"]
    drain_s = float(gateway["environment"]["TEZI_DRAIN_S"])
    assert seconds(gateway["stop_grace_period"]) >= drain_s + 2


def test_nginx_is_given_the_time_that_its_workers_get() -> None:
    text = (PROJECT_ROOT / "config" / "nginx_load_balancer.conf").read_text("utf-8")
    (limit,) = re.findall(r"worker_shutdown_timeout (\d+)s;", text)
    assert seconds(services()["nginx"]["stop_grace_period"]) > float(limit)


def test_the_script_before_nginx_writes_what_tezi_up_writes() -> None:
    script = PROJECT_ROOT / "config" / "docker" / "balance"
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)
    text = script.read_text("utf-8")
    assert f"max_fails={MAX_FAILS} fail_timeout={FAIL_TIMEOUT_S}s;" in text
    assert f"$config/{MAIN_FILE}" in text
    assert f'touch "$prefix/{LEAVING}"' in text


def test_the_script_that_replaces_containers_waits_until_they_have_been_found() -> None:
    script = PROJECT_ROOT / "config" / "docker" / "roll"
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)
    found_after = {
        service: float(wait_s)
        for service, wait_s in re.findall(r"(\w+)\) echo (\d+) ;;", script.read_text("utf-8"))
    }
    age_s = float(services()["gateway"]["environment"]["TEZI_TRITON_MAX_CONNECTION_AGE_S"])
    # The golden row, each second, is what looks the name up at the latest; gRPC spreads the age.
    assert found_after["triton"] > 1.1 * age_s + 1
    assert found_after["gateway"] > 4
    refused = subprocess.run(
        [str(script), "postgres"], capture_output=True, text=True, timeout=10, check=False
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "usage:" in refused.stderr


def test_redis_may_take_what_its_configuration_allows() -> None:
    text = (PROJECT_ROOT / "config" / "redis.conf").read_text("utf-8")
    (most,) = re.findall(r"^maxmemory (\d+)mb$", text, re.MULTILINE)
    limit = size(services()["redis"]["deploy"]["resources"]["limits"]["memory"])
    assert limit >= 1.5 * int(most) * 2**20


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
