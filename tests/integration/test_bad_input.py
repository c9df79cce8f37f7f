"""Bad input over the real stack: each case with the answer that a client gets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import exchange_today, from_day_number
from preprocess.store import open_store
from tests.integration.stack import RunningStack

pytestmark = pytest.mark.triton

GOOD = "900001"


@pytest.fixture(scope="module")
def today(demo_stack: RunningStack) -> str:
    store = open_store(demo_stack.settings)
    day = max(listing.newest_price for listing in store.listings())
    store.close()
    return day.isoformat()


@pytest.fixture(scope="module")
def short(demo_stack: RunningStack) -> str:
    """A stock with too few rows."""
    store = open_store(demo_stack.settings)
    found = min((h for h in store.histories() if len(h.prices)), key=lambda h: len(h.prices))
    store.close()
    assert 0 < len(found.prices) < MINIMUM_ROWS
    return found.bse_code


def post(stack: RunningStack, path: str, **request: Any) -> httpx.Response:
    return httpx.post(f"{stack.url}/api/v1/{path}", timeout=20.0, trust_env=False, **request)


def predict(stack: RunningStack, code: object, day: object) -> httpx.Response:
    return post(stack, "predict", json={"bse_code": code, "prediction_date": day})


@pytest.mark.parametrize(
    ("code", "day", "place"),
    [
        ("50032", None, "bse_code"),
        ("5003255", None, "bse_code"),
        ("50032a", None, "bse_code"),
        ("", None, "bse_code"),
        (500325, None, "bse_code"),
        (None, None, "bse_code"),
        ("٥٠٠٣٢٥", None, "bse_code"),
        (GOOD, "14-08-2026", "prediction_date"),
        (GOOD, "2026-02-30", "prediction_date"),
        (GOOD, "20260814", "prediction_date"),
        (GOOD, "2026-08-14T00:00:00", "prediction_date"),
        (GOOD, 1786665600, "prediction_date"),
    ],
)
def test_malformed_codes_and_dates(
    demo_stack: RunningStack, today: str, code: object, day: object, place: str
) -> None:
    response = predict(demo_stack, code, today if day is None else day)
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["body", place]
    assert set(problem) == {"type", "loc", "msg", "input"}
    assert response.headers["X-Request-ID"]
    assert float(response.headers["X-Process-Time"]) >= 0.0


def test_a_date_in_the_future(demo_stack: RunningStack) -> None:
    tomorrow = exchange_today(datetime.now(UTC)) + timedelta(days=1)
    response = predict(demo_stack, GOOD, tomorrow.isoformat())
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "prediction_date"]


@pytest.mark.parametrize("code", ["999999", "000000"])
def test_an_unknown_stock(demo_stack: RunningStack, today: str, code: str) -> None:
    response = predict(demo_stack, code, today)
    assert response.status_code == 404
    assert code in response.json()["detail"]


def test_a_stock_with_few_rows_and_a_date_before_all_data(
    demo_stack: RunningStack, today: str, short: str
) -> None:
    for code, day in ((short, today), (GOOD, "1999-01-01")):
        response = predict(demo_stack, code, day)
        assert response.status_code == 422
        assert isinstance(response.json()["detail"], str)
        assert str(MINIMUM_ROWS) in response.json()["detail"]


def test_ten_rows_are_not_enough_and_thirty_four_are(demo_stack: RunningStack, today: str) -> None:
    store = open_store(demo_stack.settings)
    history = store.history(GOOD)
    store.close()
    assert history is not None
    tenth, last_short, first = (
        from_day_number(int(history.prices.days[rows - 1])).isoformat()
        for rows in (10, MINIMUM_ROWS - 1, MINIMUM_ROWS)
    )
    statuses = [predict(demo_stack, GOOD, day).status_code for day in (tenth, last_short, first)]
    assert statuses == [422, 422, 200]


@pytest.mark.parametrize("count", [0, 101])
def test_batches_of_the_wrong_size(demo_stack: RunningStack, today: str, count: int) -> None:
    items = [{"bse_code": GOOD, "prediction_date": today}] * count
    response = post(demo_stack, "batch_predict", json={"predictions": items})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "predictions"]


def test_two_bad_items_among_eight_good_ones(
    demo_stack: RunningStack, today: str, short: str
) -> None:
    codes = [f"9000{number:02d}" for number in range(1, 11)]
    items = [{"bse_code": code, "prediction_date": today} for code in codes]
    items[3] = {"bse_code": "not a code", "prediction_date": today}
    items[7] = {"bse_code": "999999", "prediction_date": today}
    answers = post(demo_stack, "batch_predict", json={"predictions": items}).json()
    assert [answer["bse_code"] for answer in answers] == [item["bse_code"] for item in items]
    for place in (3, 7):
        assert answers[place]["probability"] is None
        assert answers[place]["error"]["message"]
    single = predict(demo_stack, codes[0], today).json()
    assert answers[0]["probability"] == single["probability"]
    assert all("error" in answer for answer in answers)


def test_a_body_of_ten_megabytes(demo_stack: RunningStack) -> None:
    body = b'{"bse_code": "' + b"5" * 10_000_000 + b'"}'
    response = post(
        demo_stack, "predict", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert response.json()["detail"]


def test_wrong_content_type_and_broken_json(demo_stack: RunningStack) -> None:
    form = post(demo_stack, "predict", data={"bse_code": GOOD})
    assert form.status_code == 415
    broken = post(
        demo_stack,
        "predict",
        content=b'{"bse_code": "500325",',
        headers={"content-type": "application/json"},
    )
    assert broken.status_code == 422
    assert broken.json()["detail"][0]["loc"][0] == "body"


def test_a_deadline_that_cannot_be_met(demo_stack: RunningStack, today: str) -> None:
    items = [{"bse_code": f"900{n:03d}", "prediction_date": today} for n in range(1, 101)]
    response = post(
        demo_stack,
        "batch_predict",
        json={"predictions": items},
        headers={"X-Request-Timeout-Ms": "1"},
    )
    assert response.status_code == 504
    assert response.json()["detail"]
