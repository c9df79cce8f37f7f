"""What a running project says of itself, and waiting until it does."""

import time
from collections.abc import Callable

import httpx

from tests.compose.project import Project, engine


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
