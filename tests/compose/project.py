"""A project of docker-compose.yml at work under a name of its own, driven as users drive it."""

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.integration.stack import free_ports
from tests.paths import PROJECT_ROOT

# `make test-compose` hands these on. The engine is what lies below compose: containers are killed,
# listed and looked into with it.
COMPOSE = shlex.split(os.environ.get("COMPOSE", "docker compose"))
ENGINE = os.environ.get("ENGINE", "docker")
_LABEL = "com.docker.compose.project"
_LIMIT_S = 600


@dataclass(frozen=True)
class Project:
    """One project: its name, the file of its secrets, the ports that clients come in by."""

    name: str
    env_file: Path
    port: int
    prometheus_port: int
    admin_token: str

    @property
    def url(self) -> str:
        """Where nginx listens."""
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *words: str, text: bool = True, check: bool = True) -> Any:
        """Run one compose command; its standard output."""
        command = [*COMPOSE, "--env-file", str(self.env_file), "-p", self.name, *words]
        return _run(command, text=text, check=check)

    def roll(self, *services: str) -> str:
        """Run config/docker/roll; what it says."""
        command = shlex.join([*COMPOSE, "--env-file", str(self.env_file), "-p", self.name])
        named = {"COMPOSE": command, "ENGINE": ENGINE, "COMPOSE_PROJECT_NAME": self.name}
        return str(_run(["config/docker/roll", *services], environment=named))

    def down(self, *, check: bool = True) -> None:
        """Take everything of it away."""
        # podman-compose finds containers by their numbers and not by labels; `roll` doubles them.
        for service in ("gateway", "triton"):
            numbers = [int(name.rsplit("-", 1)[1]) for name in self.containers(service)]
            self.set(f"TEZI_{service.upper()}S", max(numbers, default=1))
        profiles = ["--profile", "monitoring", "--profile", "demo"]
        self.compose(*profiles, "down", "--volumes", check=check)

    def set(self, name: str, value: object) -> None:
        """Add a variable to the file that compose reads, as a user would."""
        with self.env_file.open("a") as file:
            file.write(f"{name}={value}\n")

    def containers(self, service: str) -> list[str]:
        """Names of a service's running containers."""
        wanted = ["--filter", f"label={_LABEL}={self.name}"]
        names = engine("ps", *wanted, "--format", "{{.Names}}").split()
        return sorted(name for name in names if name.startswith(f"{self.name}-{service}-"))

    def left_over(self) -> dict[str, list[str]]:
        """What the engine still holds of it, by kind."""
        return {
            "containers": engine("ps", "--all", "--format", "{{.Names}}").split(),
            "volumes": engine("volume", "ls", "--format", "{{.Name}}").split(),
            "networks": engine("network", "ls", "--format", "{{.Name}}").split(),
        }

    def logs(self) -> str:
        """The last lines of every container, for a failure's message."""
        names = engine("ps", "--all", "--format", "{{.Names}}").split()
        return "\n".join(
            f"--- {name}\n{engine('logs', '--tail', '15', name, merge=True)}"
            for name in names
            if name.startswith(f"{self.name}-")
        )


def engine(*words: str, merge: bool = False, check: bool = True) -> str:
    """Run one command of the container engine; what it prints."""
    return str(_run([ENGINE, *words], merge=merge, check=check))


def inspected(container: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    found: list[dict[str, Any]] = json.loads(engine("inspect", container))
    return found[0]


def is_ready(project: Project) -> bool:
    try:
        return httpx.get(f"{project.url}/ready", timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def says_ready(gateway: str) -> bool:
    """Whether one gateway says so by itself: through nginx it may have been another one."""
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/ready').status)"
    return engine("exec", gateway, "python3", "-c", script, check=False).strip() == "200"


def until(happened: Callable[[], bool], project: Project, *, seconds: float) -> float:
    """Wait for it; the seconds it took."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s:\n{project.logs()}")
        time.sleep(0.1)
    return time.monotonic() - began


def asked(container: str) -> float:
    """How many predictions a gateway has answered; one that starts does not say yet."""
    script = (
        "import urllib.request as u;"
        "print(u.urlopen('http://127.0.0.1:8080/metrics', timeout=2).read().decode())"
    )
    lines = engine("exec", container, "python3", "-c", script, check=False).splitlines()
    wanted = 'http_requests_total{method="POST",route="/api/v1/predict",status="200"}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


@contextmanager
def fresh_project(folder: Path) -> Iterator[Project]:
    """A project with secrets of its own that has never been up; it is taken down at the end."""
    port, prometheus_port = free_ports(2)
    token = secrets.token_urlsafe(24)
    env_file = folder / "compose.env"
    env_file.touch(0o600)
    # What a URL could not hold is right where it is no part of one.
    password = f"{secrets.token_urlsafe(12)}/@:%"
    env_file.write_text(
        f"POSTGRES_PASSWORD={password}\nREDIS_PASSWORD={secrets.token_hex(16)}\n"
        f"TEZI_ADMIN_TOKEN={token}\nTEZI_PORT={port}\nPROMETHEUS_PORT={prometheus_port}\n"
    )
    project = Project(f"tezitest{os.getpid()}", env_file, port, prometheus_port, token)
    try:
        yield project
    finally:
        project.down(check=False)


def _run(
    command: list[str],
    *,
    text: bool = True,
    check: bool = True,
    merge: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Any:
    done = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge else subprocess.PIPE,
        text=text,
        timeout=_LIMIT_S,
        check=False,
    )
    if check and done.returncode != 0:
        sys.stderr.write(str(done.stderr))
        raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}")
    return done.stdout
