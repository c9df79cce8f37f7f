"""POST /api/v1/batch_predict: one answer an item, in order, and no item spoils another."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DeadlineExceededError, PredictorUnavailableError
from gateway.ports import PredictionQuery
from preprocess.features.row import Status
from tests.gateway.fakes import (
    TODAY,
    FakePredictor,
    Running,
    fake_probability,
    item,
    running_app,
    until,
)
from tests.gateway.test_predict import KEYS


async def test_a_whole_batch_is_one_request_and_keeps_its_order(tezi: Running) -> None:
    codes = [f"{500000 + number}" for number in range(100)]
    response = await tezi.batch(*(item(code) for code in codes))
    assert response.status_code == 200
    found = response.json()
    assert [entry["bse_code"] for entry in found] == codes
    assert [entry["probability"] for entry in found] == [
        fake_probability(code, TODAY) for code in codes
    ]
    assert all(list(entry) == [*KEYS, "error"] for entry in found)
    assert all(entry["error"] is None for entry in found)
    assert len(tezi.predictor.calls) == 1


async def test_an_item_answers_as_a_single_request_does(tezi: Running) -> None:
    single = (await tezi.predict(include_features=True)).json()
    (entry,) = (await tezi.batch(item(include_features=True))).json()
    assert entry == {**single, "error": None}


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (item("50000x"), "invalid_request", "bse_code: String should match"),
        (item(day="2026-02-30"), "invalid_request", "prediction_date: There is no such day"),
        (item(day="2026-08-15"), "future_date", "after today in Mumbai"),
        (item("000000"), "unknown_stock", "000000"),
        (item("599999"), "unknown_stock", "599999"),
        (item("500009"), "short_history", "fewer than 34"),
        (item(variant="gpu"), "variant_not_served", "gpu"),
        (item("500008"), "unavailable", "try again"),
        ({}, "invalid_request", "bse_code: Field required; prediction_date: Field required"),
        (item("500001", variant=5), "invalid_request", "variant"),
        ({"bse_code": 5, "prediction_date": TODAY}, "invalid_request", "bse_code"),
        (None, "invalid_request", "item: Input should be an object"),
        ("500001", "invalid_request", "item: Input should be an object"),
        ([item()], "invalid_request", "item: Input should be an object"),
    ],
)
async def test_an_item_fails_alone(tezi: Running, given: Any, code: str, message: str) -> None:
    tezi.predictor.statuses |= {
        "599999": Status.UNKNOWN_STOCK,
        "500009": Status.SHORT_HISTORY,
        "500008": Status.STORE_UNAVAILABLE,
    }
    response = await tezi.batch(item("500001"), given, item("500002"))
    assert response.status_code == 200
    before, bad, after = response.json()
    assert (before["bse_code"], after["bse_code"]) == ("500001", "500002")
    assert before["error"] is after["error"] is None
    assert bad["error"]["code"] == code
    assert message in bad["error"]["message"]
    echoed = {
        key: given[key] if isinstance(given, dict) and isinstance(given.get(key), str) else None
        for key in ("bse_code", "prediction_date")
    }
    assert bad == {**dict.fromkeys(KEYS), **echoed, "error": bad["error"]}


async def test_a_batch_of_bad_items_only_is_answered(tezi: Running) -> None:
    response = await tezi.batch({}, 5, item(day="2027-01-01"))
    assert response.status_code == 200
    assert [entry["error"]["code"] for entry in response.json()] == [
        "invalid_request",
        "invalid_request",
        "future_date",
    ]
    assert tezi.predictor.calls == []


@pytest.mark.parametrize(
    ("body", "kind", "location"),
    [
        ({}, "missing", ["body", "predictions"]),
        ({"predictions": []}, "too_short", ["body", "predictions"]),
        ({"predictions": [item()] * 101}, "too_long", ["body", "predictions"]),
        ({"predictions": item()}, "list_type", ["body", "predictions"]),
        ({"predictions": None}, "list_type", ["body", "predictions"]),
        ([item()], "model_type", ["body"]),
    ],
    ids=["absent", "empty", "101 items", "an object", "null", "a bare list"],
)
async def test_an_invalid_envelope_is_a_422(
    tezi: Running, body: Any, kind: str, location: list[str]
) -> None:
    response = await tezi.client.post("/api/v1/batch_predict", json=body)
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert (entry["type"], entry["loc"]) == (kind, location)
    assert len(response.content) < 4_000
    assert tezi.predictor.calls == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(PredictorUnavailableError("x"), 503), (DeadlineExceededError("x"), 504)],
)
async def test_a_batch_without_any_answer_is_a_5xx(
    tezi: Running, error: Exception, status: int
) -> None:
    tezi.predictor.error = error
    response = await tezi.batch(item(), item("500002"), item("50000x"))
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)


async def test_an_unreachable_database_is_a_503(tezi: Running) -> None:
    tezi.predictor.statuses |= dict.fromkeys(("500001", "500002"), Status.STORE_UNAVAILABLE)
    response = await tezi.batch(item("500001"), item("500002"))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


async def test_one_true_answer_makes_the_batch_a_200(tezi: Running) -> None:
    tezi.predictor.statuses |= {
        "500001": Status.STORE_UNAVAILABLE,
        "599999": Status.UNKNOWN_STOCK,
    }
    response = await tezi.batch(item("500001"), item("599999"))
    assert response.status_code == 200
    assert [entry["error"]["code"] for entry in response.json()] == [
        "unavailable",
        "unknown_stock",
    ]


async def test_two_variants_are_two_concurrent_requests(tmp_path: Path) -> None:
    release = asyncio.Event()
    predictor = FakePredictor(release=release)
    async with running_app(tmp_path, predictor=predictor, variants=("fp32", "int8")) as tezi:
        items = [item("500001"), item("500001", variant="int8")]
        items += [item("500002"), item("500003", variant="int8")]
        call = asyncio.create_task(tezi.batch(*items))
        await until(lambda: predictor.in_flight == 2)
        release.set()
        found = (await call).json()
        assert [entry["variant"] for entry in found] == ["fp32", "int8", "fp32", "int8"]
        assert [entry["bse_code"] for entry in found] == ["500001", "500001", "500002", "500003"]
        assert predictor.calls == [
            [
                PredictionQuery("500001", TODAY, "fp32", 1),
                PredictionQuery("500002", TODAY, "fp32", 1),
            ],
            [
                PredictionQuery("500001", TODAY, "int8", 1),
                PredictionQuery("500003", TODAY, "int8", 1),
            ],
        ]
        predictor.errors["int8"] = DeadlineExceededError("x")
        half = (await tezi.batch(item("500001"), item("500001", variant="int8"))).json()
        assert half[0]["error"] is None
        assert half[1]["error"]["code"] == "deadline_exceeded"
