"""POST /api/v1/predict: what a right request is answered with."""

import math
from pathlib import Path

import pytest

from gateway.api.confidence import margin
from gateway.errors import (
    DeadlineExceededError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import PredictionQuery
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import Status
from tests.gateway.fakes import (
    MISSING,
    TODAY,
    FakePredictor,
    Running,
    fake_features,
    fake_probability,
    running_app,
    write_version,
)

KEYS = [
    "bse_code",
    "nse_symbol",
    "prediction_date",
    "as_of",
    "announced_on",
    "basis",
    "next_session",
    "predicted_label",
    "probability",
    "target",
    "threshold",
    "margin",
    "confidence",
    "model_version",
    "variant",
    "cached",
    "prediction_timestamp",
    "features",
    "shap_values",
]


async def test_every_key_is_there(tezi: Running) -> None:
    response = await tezi.predict()
    assert response.status_code == 200
    assert list(response.json()) == KEYS
    assert response.json() == {
        "bse_code": "500001",
        "nse_symbol": "ALPHA",
        "prediction_date": TODAY,
        "as_of": TODAY,
        "announced_on": None,
        "basis": "no_announcement",
        "next_session": "2026-08-17",
        "predicted_label": 0,
        "probability": fake_probability("500001", TODAY),
        "target": "upper_circuit",
        "threshold": 0.5,
        "margin": margin(fake_probability("500001", TODAY), 0.5),
        "confidence": "HIGH",
        "model_version": 1,
        "variant": "fp32",
        "cached": False,
        "prediction_timestamp": "2026-08-14T12:00:00Z",
        "features": None,
        "shap_values": None,
    }
    assert tezi.predictor.calls == [[PredictionQuery("500001", TODAY, "fp32", 1)]]


async def test_features_come_by_name_and_missing_ones_are_null(tezi: Running) -> None:
    features = (await tezi.predict(include_features=True)).json()["features"]
    expected = dict(zip(FEATURE_NAMES, fake_features("500001", TODAY), strict=True))
    assert features == {**expected, FEATURE_NAMES[MISSING]: None}
    assert list(features) == list(FEATURE_NAMES)


@pytest.mark.parametrize(
    ("code", "given", "symbol"),
    [
        ("500001", "OTHER", "ALPHA"),
        ("500003", "GIVEN", "GIVEN"),
        ("500003", None, "UNKNOWN"),
        ("599999", "GIVEN", "GIVEN"),
        ("599999", "", "UNKNOWN"),
    ],
)
async def test_the_symbol_is_the_directorys_else_the_callers(
    tezi: Running, code: str, given: str | None, symbol: str
) -> None:
    response = await tezi.predict(bse_code=code, nse_symbol=given)
    assert response.json()["nse_symbol"] == symbol


@pytest.mark.parametrize(
    ("probability", "label", "expected"),
    [(0.0, 0, "HIGH"), (0.375, 0, "MEDIUM"), (0.5, 1, "LOW"), (1.0, 1, "HIGH")],
)
async def test_label_and_confidence_follow_the_probability(
    tezi: Running, probability: float, label: int, expected: str
) -> None:
    tezi.predictor.probabilities["500001"] = probability
    found = (await tezi.predict()).json()
    assert (found["probability"], found["predicted_label"], found["confidence"]) == (
        probability,
        label,
        expected,
    )


async def test_the_threshold_is_that_of_the_version_that_answered(tezi: Running) -> None:
    tezi.predictor.probabilities["500001"] = 0.25
    found = (await tezi.predict()).json()
    assert (found["predicted_label"], found["threshold"]) == (0, 0.5)
    assert found["margin"] == pytest.approx(-math.log(3))
    write_version(tezi.settings, 2, threshold=0.125)
    tezi.predictor.model_version = 2
    found = (await tezi.predict()).json()
    assert (found["model_version"], found["predicted_label"], found["threshold"]) == (2, 1, 0.125)
    assert found["margin"] == pytest.approx(math.log(7 / 3))


async def test_an_unpublished_version_gives_no_label(tezi: Running) -> None:
    tezi.predictor.model_version = 9
    response = await tezi.predict()
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("probability", [float("nan"), -0.1, 1.5, float("inf")])
async def test_an_impossible_probability_is_rejected(tezi: Running, probability: float) -> None:
    tezi.predictor.probabilities["500001"] = probability
    assert (await tezi.predict()).status_code == 503
    found = await tezi.batch(
        {"bse_code": "500001", "prediction_date": TODAY},
        {"bse_code": "500002", "prediction_date": TODAY},
    )
    assert [entry["error"] is None for entry in found.json()] == [False, True]


async def test_prices_from_after_the_day_are_rejected(tezi: Running) -> None:
    real = tezi.predictor._answer

    def from_the_future(query: PredictionQuery) -> object:
        answer = real(query)
        return type(answer)(
            answer.status, "2026-08-15", answer.probability, answer.model_version, answer.features
        )

    tezi.predictor._answer = from_the_future  # type: ignore[method-assign,assignment]  # a fake that lies
    assert (await tezi.predict()).status_code == 503


@pytest.mark.parametrize(
    ("error", "status", "detail", "retry"),
    [
        (PredictorUnavailableError("secret"), 503, "cannot answer", True),
        (PredictorOverloadedError("secret"), 503, "busy", True),
        (VariantUnavailableError("secret"), 503, "variant", True),
        (DeadlineExceededError("secret"), 504, "in time", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.usefixtures("hardly_retried")
async def test_errors_of_the_predictor(
    tezi: Running, error: Exception, status: int, detail: str, retry: bool
) -> None:
    tezi.predictor.error = error
    response = await tezi.predict()
    assert response.status_code == status
    assert detail in response.json()["detail"]
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) is retry


@pytest.mark.parametrize(
    ("status", "detail"),
    [(Status.STORE_UNAVAILABLE, "database"), (Status.INVALID_DATE, "cannot answer")],
)
async def test_a_fault_of_ours_is_a_503(tezi: Running, status: Status, detail: str) -> None:
    tezi.predictor.statuses["500001"] = status
    response = await tezi.predict()
    assert response.status_code == 503
    assert detail in response.json()["detail"]
    assert response.headers["retry-after"] == "1"


async def test_a_variant_answers_by_the_version_that_is_stable(tmp_path: Path) -> None:
    async with running_app(tmp_path, variants=("fp32", "int8")) as tezi:
        found = (await tezi.predict(variant="int8")).json()
        assert (found["variant"], found["model_version"]) == ("int8", 1)
        assert tezi.predictor.calls[-1] == [PredictionQuery("500001", TODAY, "int8", 1)]


async def test_a_variant_that_is_not_published_is_the_callers_mistake(tezi: Running) -> None:
    response = await tezi.predict(variant="gpu")
    assert response.status_code == 422
    assert response.json() == {"detail": "The variant gpu is not served here"}
    assert tezi.predictor.calls == []


async def test_without_any_version_nothing_can_be_answered(tmp_path: Path) -> None:
    async with running_app(tmp_path, publish=False) as tezi:
        assert (await tezi.predict()).status_code == 503
        assert (await tezi.client.get("/ready")).status_code == 503


async def test_the_predictor_is_closed_at_the_end(tmp_path: Path) -> None:
    predictor = FakePredictor()
    async with running_app(tmp_path, predictor=predictor):
        assert not predictor.closed
    assert predictor.closed
