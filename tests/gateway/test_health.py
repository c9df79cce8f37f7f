"""Readiness and health: proven by the golden row, never by a port that is open."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.catalog import probe as module
from gateway.catalog.probe import Finding, Probe
from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.errors import (
    DeadlineExceededError,
    GpuAbsentError,
    PredictorOverloadedError,
    PredictorUnavailableError,
)
from gateway.ports import InferenceResult
from preprocess.features.row import Status
from preprocess.market.golden_row import GOLDEN_CODE
from preprocess.settings import Settings, load_settings
from tests.gateway.fakes import (
    MISSING,
    NOW,
    FakePredictor,
    Running,
    answer,
    item,
    put_labels,
    running_app,
    until,
    without,
    write_version,
)

INTERVAL = 1.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(data_dir=tmp_path / "data")
    write_version(settings)
    put_labels(settings, stable=1)
    return settings


@pytest.fixture
async def probe(settings: Settings, predictor: FakePredictor, clock: Clock) -> Probe:
    catalog = ModelCatalog(settings.versions_dir)
    router = Router(settings.versions_dir, catalog)
    await router.refresh()
    return Probe(
        "fp32",
        predictor=predictor,
        versions=catalog,
        router=router,
        interval_s=INTERVAL,
        clock=lambda: NOW,
        monotonic=clock,
    )


async def test_a_right_answer_passes_until_it_is_old(probe: Probe, clock: Clock) -> None:
    assert not probe.passing
    await probe()
    assert probe.passing
    assert probe.state.finding is Finding.RIGHT
    assert (probe.state.model_version, probe.state.checked_at) == (1, NOW)
    clock.now += 3 * INTERVAL + module.TIMEOUT_S - 0.01
    assert probe.passing
    clock.now += 0.02
    assert not probe.passing


@pytest.mark.parametrize("shift", [2e-6, -2e-6, 0.25, float("nan")])
async def test_another_probability_is_wrong_at_once(
    probe: Probe, predictor: FakePredictor, shift: float
) -> None:
    await probe()
    predictor.golden_shift = shift
    await probe()
    assert (probe.passing, probe.state.finding) == (False, Finding.WRONG)
    predictor.golden_shift = 5e-7
    await probe()
    assert probe.passing


@pytest.mark.parametrize("place", [0, MISSING, 24])
async def test_another_feature_is_wrong(probe: Probe, predictor: FakePredictor, place: int) -> None:
    def shifted(query: Any) -> InferenceResult:
        right = answer(query.bse_code, query.prediction_date)
        values = list(right.features)
        values[place] = 0.0 if place == MISSING else values[place] + max(1.0, values[place]) * 3e-5
        return InferenceResult(right.status, right.as_of, right.probability, 1, tuple(values))

    predictor._answer = shifted  # type: ignore[method-assign]  # a fake that lies
    await probe()
    assert probe.state.finding is Finding.WRONG


@pytest.mark.parametrize(
    ("status", "finding"),
    [
        (Status.STORE_UNAVAILABLE, Finding.NO_DATABASE),
        (Status.UNKNOWN_STOCK, Finding.WRONG),
        (Status.SHORT_HISTORY, Finding.WRONG),
    ],
)
async def test_a_golden_row_without_an_answer(
    probe: Probe, predictor: FakePredictor, status: Status, finding: Finding
) -> None:
    predictor._answer = lambda query: without(status)  # type: ignore[method-assign]  # a fake that fails
    await probe()
    assert (probe.passing, probe.state.finding) == (False, finding)


async def test_a_version_that_is_not_published_is_wrong(
    probe: Probe, predictor: FakePredictor
) -> None:
    predictor.model_version = 5
    await probe()
    assert probe.state.finding is Finding.WRONG


async def test_the_answer_is_compared_with_that_of_the_version_that_gave_it(
    probe: Probe, predictor: FakePredictor, settings: Settings
) -> None:
    await probe()
    golden = answer(GOLDEN_CODE, "2024-08-14")
    write_version(settings, 2, probability=golden.probability + 0.125)
    predictor.model_version = 2
    await probe()
    assert probe.state.finding is Finding.WRONG
    predictor.golden_shift = 0.125
    await probe()
    assert (probe.passing, probe.state.model_version) == (True, 2)


@pytest.mark.parametrize(
    ("error", "finding"),
    [
        (PredictorUnavailableError("x"), Finding.FAILED),
        (DeadlineExceededError("x"), Finding.LATE),
    ],
)
async def test_an_error_counts_at_once(
    probe: Probe, predictor: FakePredictor, error: Exception, finding: Finding
) -> None:
    await probe()
    predictor.error = error
    await probe()
    assert (probe.passing, probe.state.finding) == (False, finding)
    assert probe.state.model_version == 1  # what served last


async def test_a_full_queue_counts_when_it_lasts(
    probe: Probe, predictor: FakePredictor, clock: Clock
) -> None:
    await probe()
    predictor.error = PredictorOverloadedError("x")
    await probe()
    assert (probe.passing, probe.state.finding) == (True, Finding.BUSY)
    clock.now += 3 * INTERVAL + module.TIMEOUT_S + 0.01
    await probe()
    assert not probe.passing


async def test_a_probe_times_out(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(FakePredictor):
        async def predict(self, queries: Any, timeout_s: float) -> list[InferenceResult]:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("gateway.catalog.probe.TIMEOUT_S", 0.02)
    monkeypatch.setattr(probe, "_predictor", Hanging())
    await probe()
    assert probe.state.finding is Finding.LATE


async def test_each_change_is_logged_once(probe: Probe, predictor: FakePredictor) -> None:
    with structlog.testing.capture_logs() as lines:
        for error in (
            PredictorUnavailableError("starting"),
            None,
            None,
            PredictorUnavailableError("why"),
            PredictorUnavailableError("2"),
        ):
            predictor.error = error
            await probe()
        predictor.error = None
        await probe()
    assert [(line["event"], line["log_level"], line["reason"]) for line in lines] == [
        (Finding.FAILED.value, "info", "starting"),
        (Finding.RIGHT.value, "info", ""),
        (Finding.FAILED.value, "warning", "why"),
        (Finding.RIGHT.value, "info", ""),
    ]


async def test_ready_follows_the_golden_row(tezi: Running) -> None:
    await tezi.until_ready()
    assert (await tezi.client.get("/ready")).json() == {"status": "ready"}
    tezi.predictor.golden_shift = 0.1
    response = await tezi.until_status(503)
    assert response.json() == {"status": "not ready", "reason": "the golden row comes back wrong"}
    assert response.headers["retry-after"] == "1"
    tezi.predictor.golden_shift = 0
    await tezi.until_ready()


async def test_nothing_is_answered_while_the_golden_row_is_wrong(tezi: Running) -> None:
    await tezi.until_ready()
    assert (await tezi.predict()).status_code == 200
    tezi.predictor.golden_shift = 0.1
    await tezi.until_status(503)
    asked = len(tezi.predictor.calls)
    for response in (await tezi.predict(), await tezi.batch(item(), item("500002"))):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
    assert len(tezi.predictor.calls) == asked
    tezi.predictor.golden_shift = 0
    await tezi.until_ready()
    assert (await tezi.predict()).status_code == 200


async def component_is(tezi: Running, name: str, status: str) -> bool:
    components = (await tezi.client.get("/api/v1/health")).json()["components"]
    return status in (components[name]["status"], components[name]["detail"])


async def test_draining_is_not_ready_and_alive(tezi: Running) -> None:
    await tezi.until_ready()
    tezi.traffic.drain()
    response = await tezi.client.get("/ready")
    assert response.status_code == 503
    assert response.json()["reason"] == "the service is stopping"
    assert (await tezi.client.get("/live")).json() == {"status": "alive"}


async def test_probes_bypass_our_own_queue(tmp_path: Path) -> None:
    predictor = FakePredictor(release=asyncio.Event())
    async with running_app(tmp_path, predictor=predictor, max_in_flight=1, max_waiting=0) as tezi:
        busy = asyncio.create_task(tezi.predict())
        await until(lambda: predictor.in_flight)
        await tezi.until_ready()
        assert (await tezi.predict()).status_code == 503
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_health_names_every_component(tezi: Running) -> None:
    await tezi.until_ready()
    response = await tezi.client.get("/api/v1/health")
    assert response.status_code == 200
    found = response.json()
    assert found["status"] == "healthy"
    assert found["version"]
    assert found["uptime_s"] >= 0
    components = found["components"]
    assert {name: part["status"] for name, part in components.items()} == {
        "triton": "healthy",
        "models": "healthy",
        "database": "healthy",
        "redis": "absent",
        "int8": "absent",
        "gpu": "absent",
    }
    assert components["triton"]["latency_ms"] >= 0
    assert components["triton"]["checked_at"] == "2026-08-14T12:00:00Z"
    assert components["models"]["detail"] == "version 1 serves; published: 1"
    assert components["gpu"]["detail"] == "no GPU variant is published"
    assert components["database"]["detail"] == "4 stocks"


async def test_without_predictions_the_service_is_unhealthy(tezi: Running) -> None:
    await tezi.until_ready()
    tezi.predictor.error = PredictorUnavailableError("secret")
    await tezi.until_status(503)
    response = await tezi.client.get("/api/v1/health")
    assert response.status_code == 503
    found = response.json()
    assert found["status"] == "unhealthy"
    assert found["components"]["triton"]["status"] == "unhealthy"
    assert found["components"]["models"]["detail"] == "none answers; published: 1"
    assert "secret" not in response.text


async def test_nothing_published_is_unhealthy(tmp_path: Path) -> None:
    async with running_app(tmp_path, publish=False) as tezi:
        found = (await tezi.client.get("/api/v1/health")).json()
        assert found["components"]["models"]["detail"] == "no version is published"
        assert found["status"] == "unhealthy"


async def test_another_variant_that_fails_degrades_the_whole(tmp_path: Path) -> None:
    predictor = FakePredictor(errors={"gpu": PredictorUnavailableError("x")})
    async with running_app(tmp_path, predictor=predictor, variants=("fp32", "gpu")) as tezi:
        await tezi.until_ready()
        await until(lambda: component_is(tezi, "gpu", "unhealthy"))
        response = await tezi.client.get("/api/v1/health")
        assert response.status_code == 200
        assert response.json()["status"] == "degraded"


async def test_a_busy_model_server_degrades_the_whole(tezi: Running) -> None:
    await tezi.until_ready()
    tezi.predictor.error = PredictorOverloadedError("x")
    await until(lambda: component_is(tezi, "triton", "degraded"))
    assert (await tezi.client.get("/api/v1/health")).json()["status"] == "degraded"


async def test_a_missing_gpu_is_no_fault(tmp_path: Path) -> None:
    predictor = FakePredictor(errors={"gpu": GpuAbsentError("not found")})
    async with running_app(tmp_path, predictor=predictor, variants=("fp32", "gpu")) as tezi:
        await tezi.until_ready()
        await until(lambda: component_is(tezi, "gpu", "no GPU"))
        found = (await tezi.client.get("/api/v1/health")).json()
        assert (found["status"], found["components"]["gpu"]["status"]) == ("healthy", "absent")
        response = await tezi.predict(variant="gpu")
        assert response.status_code == 503
        assert "there is none here" in response.json()["detail"]
        assert (await tezi.predict()).status_code == 200
        tezi.predictor.errors["gpu"] = DeadlineExceededError("Triton hangs")
        probe = tezi.app.state.gateway.probes["gpu"]
        await until(lambda: probe.state.finding is Finding.LATE)
        found = (await tezi.client.get("/api/v1/health")).json()
        assert found["components"]["gpu"]["status"] == "absent"


async def test_models_say_what_serves(tezi: Running) -> None:
    await tezi.until_ready()
    write_version(tezi.settings, 2, threshold=0.125)
    put_labels(tezi.settings, stable=2, previous=1)

    async def served() -> Any:
        found = (await tezi.client.get("/api/v1/models")).json()
        return found if found["variants"]["fp32"]["serving"] == 2 else None

    found = await until(served)
    first, second = found["versions"]
    assert (first["model_version"], first["state"], first["labels"]) == (1, "loaded", ["previous"])
    assert (second["model_version"], second["state"], second["labels"]) == (
        2,
        "serving",
        ["stable"],
    )
    assert second["threshold"] == 0.125
    assert len(second["features"]) == 25
    assert second["metrics"] == {"roc_auc": 0.6}
    assert second["variants"]["fp32"]["size_bytes"] == 1000
    assert (found["stable"], found["candidate"], found["previous"]) == (2, None, 1)
    assert found["variants"]["fp32"] == {
        "state": "published",
        "versions": [1, 2],
        "serving": 2,
        "detail": "the golden row comes back right",
    }
    assert found["variants"]["gpu"]["state"] == "absent"
    metrics = (await tezi.client.get("/metrics")).text
    assert 'model_version_info{model_version="2",variant="fp32"} 1.0' in metrics
    assert 'model_version="1"' not in metrics
