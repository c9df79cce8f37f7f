"""docker-compose.yml from a clean state to nothing, with real containers: `make test-compose`.

The tests are one story and run in their order; most begin with what the one before has left.
"""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from tests.compose.load import Asked, Load, steady_load
from tests.compose.project import (
    ENGINE,
    Project,
    asked,
    engine,
    fresh_project,
    inspected,
    is_ready,
    says_ready,
    until,
)
from tests.compose.restarts import RESTARTS, restarted_under_load


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    # Not a folder of pytest's: runs that begin meanwhile clear those of earlier ones away.
    with TemporaryDirectory() as folder, fresh_project(Path(folder)) as fresh:
        began = time.monotonic()
        fresh.compose("--profile", "demo", "up", "--detach", "--build")
        up_s = time.monotonic() - began
        waited = until(lambda: is_ready(fresh), fresh, seconds=180)
        for container in fresh.containers("gateway"):
            until(lambda name=container: says_ready(name), fresh, seconds=30)  # type: ignore[misc]
        print(f"\nup after {up_s:.0f} s, ready {waited:.0f} s later")
        yield fresh


@pytest.fixture(scope="module")
def client(project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.url, timeout=10.0, trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def day(client: httpx.Client) -> str:
    return str(client.get("/api/v1/stocks").json()["stocks"][0]["newest_price_date"])


@pytest.fixture(scope="module")
def batch(client: httpx.Client, day: str) -> list[dict[str, Any]]:
    stocks = client.get("/api/v1/stocks", params={"limit": 100}).json()["stocks"]
    codes = [entry["bse_code"] for entry in stocks]
    items = [{"bse_code": code, "prediction_date": day, "include_features": True} for code in codes]
    response = client.post("/api/v1/batch_predict", json={"predictions": items})
    assert response.status_code == 200, response.text
    # The demo market has stocks that are too young to be predicted.
    answers = [answer for answer in response.json() if answer.get("probability") is not None]
    assert len(answers) > 80
    return answers


@pytest.fixture(scope="module")
def expected(batch: list[dict[str, Any]]) -> list[Asked]:
    return [_asked(answer) for answer in batch]


@pytest.fixture(scope="module")
def many_days(client: httpx.Client, day: str, expected: list[Asked]) -> list[Asked]:
    """More than is asked in one restart, so that nothing is asked twice."""
    found: list[Asked] = []
    for past in range(60):
        then = (date.fromisoformat(day) - timedelta(days=past)).isoformat()
        items = [{"bse_code": code, "prediction_date": then} for code, _, _ in expected]
        answers = client.post("/api/v1/batch_predict", json={"predictions": items}).json()
        found += [_asked(answer) for answer in answers if answer["probability"] is not None]
    assert len(found) > 4000
    return found


def _asked(answer: dict[str, Any]) -> Asked:
    return answer["bse_code"], answer["prediction_date"], answer["probability"]


def of_triton(project: Project, path: str) -> bytes:
    """A file out of the data volume."""
    found: bytes = project.compose("exec", "-T", "triton", "cat", path, text=False)
    return found


def assert_clean(load: Load, *, at_least: int) -> None:
    print(f"\n{load.answered} requests, slowest {load.slowest_s * 1e3:.0f} ms")
    assert load.failures == []
    assert load.answered >= at_least


def test_the_golden_row_comes_back_right(project: Project) -> None:
    # From a gateway's own container, over the network between the two.
    script = (
        "import asyncio; from gateway.stack.triton import check_stable;"
        "from preprocess.settings import load_settings;"
        "asyncio.run(check_stable(load_settings(), 5.0)); print('right')"
    )
    command = ["exec", project.containers("gateway")[0], "python3", "-c", script]
    # A busy machine may be late once: names of containers come from the engine.
    until(lambda: "right" in engine(*command, check=False), project, seconds=60)


def test_a_batch_is_what_the_published_graph_computes(
    project: Project, batch: list[dict[str, Any]]
) -> None:
    session = onnxruntime.InferenceSession(of_triton(project, "/data/versions/1/fp32.onnx"))
    rows = np.array(
        [
            [np.nan if value is None else value for value in answer["features"].values()]
            for answer in batch
        ],
        dtype=np.float32,
    )
    outputs = dict(
        zip(
            (output.name for output in session.get_outputs()),
            session.run(None, {session.get_inputs()[0].name: rows}),
            strict=True,
        )
    )
    found = [answer["probability"] for answer in batch]
    assert np.asarray(found) == pytest.approx(outputs["probability"].reshape(-1), abs=1e-6)
    assert len({round(probability, 6) for probability in found}) > 10


def test_the_health_page_names_every_part(project: Project, client: httpx.Client) -> None:
    def report() -> dict[str, Any]:
        return dict(client.get("/api/v1/health").json())

    # A Redis that was late on a busy machine is tried again after half a minute.
    until(lambda: report()["status"] == "healthy", project, seconds=60)
    components = report()["components"]
    for part in ("triton", "models", "database", "redis", "int8"):
        assert components[part]["status"] == "healthy", components
    assert components["gpu"]["status"] == "absent"


def test_every_process_is_confined(project: Project) -> None:
    for service in ("nginx", "gateway", "triton", "redis", "postgres"):
        for container in project.containers(service):
            host = inspected(container)["HostConfig"]
            assert host["ReadonlyRootfs"] is True, container
            assert host["Memory"] > 0, container
            owner = engine("exec", container, "stat", "-c", "%u", "/proc/1").strip()
            assert owner != "0", container


def test_triton_has_enough_shared_memory(project: Project) -> None:
    (container,) = project.containers("triton")
    size = inspected(container)["HostConfig"]["ShmSize"]
    used = engine("exec", container, "df", "--output=used", "-B1", "/dev/shm").split()[-1]
    assert 0 < int(used) < size


def test_admin_calls_reach_the_volume_and_triton(project: Project, client: httpx.Client) -> None:
    assert client.post("/api/v1/models/reload").status_code == 401
    response = client.post(
        "/api/v1/models/reload", headers={"Authorization": f"Bearer {project.admin_token}"}
    )
    assert response.status_code == 200, response.text


def test_a_gateway_activates_what_a_job_has_published_without_triton_s_key(
    project: Project, client: httpx.Client
) -> None:
    project.compose("--profile", "tools", "run", "--rm", "tools", "publish")
    for container in project.containers("gateway"):
        assert engine("exec", container, "ls", "/data").split() == ["cache", "versions"]
    admin = {"Authorization": f"Bearer {project.admin_token}"}
    for number in (2, 1):
        changed = client.post(f"/api/v1/models/{number}/activate", headers=admin, timeout=90.0)
        assert changed.status_code == 200, changed.text
        assert changed.json()["stable"] == number


def test_redis_requires_its_password(project: Project) -> None:
    (container,) = project.containers("redis")
    asked_ = ["exec", "--env", "REDISCLI_AUTH=", container, "redis-cli", "ping"]
    assert "NOAUTH" in engine(*asked_, merge=True, check=False)


def test_the_tools_service_runs_a_command(project: Project) -> None:
    shown = project.compose("--profile", "tools", "run", "--rm", "tools", "models")
    assert "stable" in shown


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_gateway_that_ends_fails_no_request(
    project: Project, expected: list[Asked], end: str
) -> None:
    first, *others = project.containers("gateway")
    assert others
    with steady_load(project.url, expected) as load:
        time.sleep(1)
        engine(end, first)
        time.sleep(3)
        engine("start", first)
        until(lambda: asked(first) > 20, project, seconds=60)
    assert_clean(load, at_least=300)


def test_an_added_gateway_gets_requests(project: Project, expected: list[Asked]) -> None:
    with steady_load(project.url, expected) as load:
        project.set("TEZI_GATEWAYS", 3)
        project.compose("up", "--detach", "--no-recreate", "gateway")
        until(lambda: len(project.containers("gateway")) == 3, project, seconds=30)
        for container in project.containers("gateway"):
            until(lambda name=container: asked(name) > 50, project, seconds=30)  # type: ignore[misc]
    assert_clean(load, at_least=150)


@pytest.mark.parametrize("name", RESTARTS)
def test_every_part_may_be_restarted(
    project: Project,
    client: httpx.Client,
    many_days: list[Asked],
    name: str,
) -> None:
    cleared = client.post(
        "/api/v1/cache/clear?type=predictions",
        headers={"Authorization": f"Bearer {project.admin_token}"},
    )
    assert cleared.status_code == 200, cleared.text
    restart = RESTARTS[name]
    load = restarted_under_load(project, restart, many_days)
    print(f"\n{name}: {load.summary()}")
    assert load.wrong == 0
    assert load.held < 0.05 * load.answered
    assert load.answered >= 100
    if not restart.may_lose:
        assert load.lost == []
    if not restart.may_refuse and not restart.may_lose:
        assert load.failures == []


def test_prometheus_finds_every_replica(project: Project) -> None:
    project.compose("--profile", "monitoring", "up", "--detach", "prometheus")
    (container,) = project.containers("prometheus")
    gateways = len(project.containers("gateway"))
    query = ["exec", container, "promtool", "query", "instant", "http://127.0.0.1:9090"]

    def scraped() -> bool:
        found = engine(*query, "sum by (job) (up)", merge=True)
        return f'{{job="gateway"}} => {gateways} ' in found and '{job="triton"} => 1 ' in found

    until(scraped, project, seconds=90)
    engine("exec", container, "promtool", "check", "config", "/config/prometheus.yml")
    engine("exec", container, "promtool", "test", "rules", "/config/alerts_test.yml")


def test_down_leaves_nothing(project: Project) -> None:
    assert any(project.name in name for name in project.left_over()["volumes"])
    project.down()
    left = {
        kind: [name for name in names if project.name in name]
        for kind, names in project.left_over().items()
    }
    assert left == {"containers": [], "volumes": [], "networks": []}, ENGINE
