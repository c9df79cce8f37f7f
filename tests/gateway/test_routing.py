"""Which version answers which stock: sticky, shared fairly, followed by every gateway."""

from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.routing import Route, Router, in_share
from gateway.catalog.versions import ModelCatalog
from gateway.errors import PredictorUnavailableError, VariantUnavailableError
from preprocess.models.names import Variant
from preprocess.settings import Settings, load_settings
from tests.gateway.fakes import (
    FakePredictor,
    Running,
    item,
    put_labels,
    until,
    write_version,
)

CODES = [f"{number:06d}" for number in range(500_000, 511_000)]
BOTH: tuple[Variant, ...] = ("fp32", "int8")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(data_dir=tmp_path / "data")
    write_version(settings, 1, variants=BOTH)
    write_version(settings, 2, variants=["fp32"])
    return settings


@pytest.fixture
async def router(settings: Settings) -> Router:
    catalog = ModelCatalog(settings.versions_dir)
    await catalog.refresh()
    return Router(settings.versions_dir, catalog)


async def test_before_anything_is_stable_triton_chooses(router: Router) -> None:
    await router.refresh()
    assert router.route("fp32", "500001") == Route(None)
    assert router.serves("fp32")
    assert router.serves("gpu")


@pytest.mark.parametrize("share", [1.0, 5.0, 50.0, 99.0])
def test_a_share_is_a_share_of_the_stocks(share: float) -> None:
    found = sum(in_share(code, 7, share) for code in CODES)
    # five standard deviations of a fair draw
    assert abs(found / len(CODES) - share / 100) < 5 * (0.25 / len(CODES)) ** 0.5


def test_the_ends_of_the_scale() -> None:
    assert all(in_share(code, 7, 100.0) for code in CODES)
    assert not any(in_share(code, 7, 0.0) for code in CODES)


@given(st.sampled_from(CODES), st.integers(1, 99), st.floats(0, 100), st.floats(0, 100))
def test_a_greater_share_holds_the_stocks_of_a_smaller_one(
    code: str, candidate: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert in_share(code, candidate, low) <= in_share(code, candidate, high)


def test_another_candidate_gets_other_stocks() -> None:
    first, second = ({code for code in CODES if in_share(code, n, 10.0)} for n in (7, 8))
    assert len(first & second) < 0.2 * len(first)


async def test_a_candidate_answers_its_share_and_a_shadow_answers_nothing(
    settings: Settings, router: Router
) -> None:
    put_labels(settings, stable=1, candidate=2, share=30.0)
    await router.refresh()
    routes = [router.route("fp32", code) for code in CODES]
    assert {route.version for route in routes} == {1, 2}
    assert {route.shadow for route in routes} == {None}
    shared = [route.version == 2 for route in routes]
    put_labels(settings, shadow=True)
    await router.refresh()
    shadowed = [router.route("fp32", code) for code in CODES]
    assert {route.version for route in shadowed} == {1}
    assert [route.shadow == 2 for route in shadowed] == shared


async def test_a_candidate_without_the_variant_does_not_answer_for_it(
    settings: Settings, router: Router
) -> None:
    put_labels(settings, stable=1, candidate=2, share=100.0)
    await router.refresh()
    assert router.route("fp32", "500001") == Route(2)
    assert router.route("int8", "500001") == Route(1)
    put_labels(settings, stable=2, candidate=None)
    await router.refresh()
    assert not router.serves("int8")
    assert await router.instead_of("int8", 1) is None
    assert await router.instead_of("fp32", 1) == 2
    assert await router.instead_of("fp32", 2) is None


async def test_a_version_that_labels_name_first_is_read_with_them(
    settings: Settings, router: Router
) -> None:
    write_version(settings, 3)
    put_labels(settings, stable=3, previous=1)
    await router.refresh()
    assert router.route("fp32", "500001") == Route(3)
    assert router.serves("fp32")
    assert [router.label(number) for number in (3, 1, 2)] == ["stable", "previous", "other"]


async def test_damaged_labels_change_nothing(settings: Settings, router: Router) -> None:
    put_labels(settings, stable=1)
    await router.refresh()
    (settings.versions_dir / "labels.json").write_text("{")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await router.refresh()
    assert router.labels.stable == 1
    assert [line["event"] for line in lines] == ["the labels cannot be read"]
    (settings.versions_dir / "labels.json").unlink()
    put_labels(settings, stable=2)
    await router.refresh()
    assert router.labels.stable == 2


async def answers(tezi: Running, version: int) -> bool:
    return bool((await tezi.predict()).json()["model_version"] == version)


async def test_a_running_gateway_follows(tezi: Running) -> None:
    write_version(tezi.settings, 2)
    assert (await tezi.predict()).json()["model_version"] == 1
    put_labels(tezi.settings, stable=2, previous=1)
    await until(lambda: answers(tezi, 2))
    put_labels(tezi.settings, candidate=1, share=100.0)
    await until(lambda: answers(tezi, 1))
    metrics = (await tezi.client.get("/metrics")).text
    assert 'predictions_routed_total{label="candidate",variant="fp32"} 1.0' in metrics
    health = (await tezi.client.get("/api/v1/health")).json()
    assert "1 answers 100 % of stocks" in health["components"]["models"]["detail"]


async def test_a_batch_is_one_request_a_version(tezi: Running) -> None:
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, stable=1, candidate=2, share=50.0)
    codes = [f"5000{number:02d}" for number in range(40)]
    expected = [2 if in_share(code, 2, 50.0) else 1 for code in codes]

    async def shared() -> Any:
        tezi.predictor.calls.clear()
        found = (await tezi.batch(*map(item, codes))).json()
        return found if {entry["model_version"] for entry in found} == {1, 2} else None

    found = await until(shared)
    assert [entry["model_version"] for entry in found] == expected
    assert sorted(len(call) for call in tezi.predictor.calls) == sorted(
        [expected.count(1), expected.count(2)]
    )


@pytest.mark.parametrize("error", [PredictorUnavailableError("x"), VariantUnavailableError("x")])
async def test_where_a_candidate_fails_the_stable_version_answers(
    tezi: Running, error: Exception
) -> None:
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, candidate=2, share=100.0)
    tezi.predictor.errors[2] = error

    async def candidate_was_asked() -> bool:
        response = await tezi.predict()
        assert (response.status_code, response.json()["model_version"]) == (200, 1)
        return len(tezi.predictor.calls) > 1 and tezi.predictor.calls[-2][0].version == 2

    await until(candidate_was_asked)
    tezi.predictor.errors[1] = PredictorUnavailableError("y")
    assert (await tezi.predict()).status_code == 503


async def test_a_version_that_has_left_is_replaced_by_the_one_of_this_moment(
    tezi: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels have moved on, and this gateway has not looked yet."""
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, stable=2, previous=None)
    tezi.predictor.errors[1] = VariantUnavailableError("not found")
    response = await tezi.predict()
    assert (response.status_code, response.json()["model_version"]) == (200, 2)


async def test_the_time_of_the_first_try_is_taken_off(tezi: Running) -> None:
    predictor: FakePredictor = tezi.predictor
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, stable=2, previous=1)
    predictor.errors[1] = VariantUnavailableError("not found")
    assert (await tezi.predict()).status_code == 200
    first, *_, last = predictor.timeouts
    assert 0 < last <= first <= 60
