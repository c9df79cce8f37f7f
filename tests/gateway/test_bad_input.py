"""Bad input, each with its answer; never a 5xx, never the text of an exception."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from preprocess.features.row import Status
from tests.gateway.fakes import TODAY, Running, item, running_app

PREDICT = "/api/v1/predict"
BATCH = "/api/v1/batch_predict"


def entries(response: httpx.Response) -> list[dict[str, Any]]:
    """The 422 list, each entry of exactly four keys and a place in the body."""
    assert response.status_code == 422, response.text
    found: list[dict[str, Any]] = response.json()["detail"]
    for entry in found:
        assert set(entry) == {"type", "loc", "msg", "input"}
        assert entry["loc"][0] == "body"
        assert isinstance(entry["msg"], str)
    return found


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("bse_code", "50000", "string_pattern_mismatch"),
        ("bse_code", "5000011", "string_pattern_mismatch"),
        ("bse_code", "50000a", "string_pattern_mismatch"),
        ("bse_code", "500001\n", "string_pattern_mismatch"),
        ("bse_code", " 500001", "string_pattern_mismatch"),
        ("bse_code", "٥٠٠٣٢٥", "string_pattern_mismatch"),
        ("bse_code", "", "string_pattern_mismatch"),
        ("bse_code", 500001, "string_type"),
        ("bse_code", None, "string_type"),
        ("bse_code", ["500001"], "string_type"),
        ("prediction_date", "2026-02-30", "date_invalid"),
        ("prediction_date", "0000-01-01", "date_invalid"),
        ("prediction_date", "2026-8-14", "string_pattern_mismatch"),
        ("prediction_date", "20260814", "string_pattern_mismatch"),
        ("prediction_date", "2026-W33-5", "string_pattern_mismatch"),
        ("prediction_date", "14-08-2026", "string_pattern_mismatch"),
        ("prediction_date", "2026-08-14T00:00:00Z", "string_pattern_mismatch"),
        ("prediction_date", "2026-08-14\n", "string_pattern_mismatch"),
        ("prediction_date", 1786665600, "string_type"),
        ("prediction_date", 1786665600.0, "string_type"),
        ("prediction_date", True, "string_type"),
        ("prediction_date", None, "string_type"),
        ("nse_symbol", 5, "string_type"),
        ("nse_symbol", "X" * 33, "string_too_long"),
        ("include_features", "true", "bool_type"),
        ("include_features", 1, "bool_type"),
        ("include_features", None, "bool_type"),
        ("variant", "fp16", "literal_error"),
        ("variant", "FP32", "literal_error"),
        ("variant", None, "literal_error"),
    ],
)
async def test_a_malformed_field_is_named(
    tezi: Running, field: str, value: object, kind: str
) -> None:
    (entry,) = entries(await tezi.predict(**{field: value}))
    assert (entry["loc"], entry["type"], entry["input"]) == (["body", field], kind, value)
    assert tezi.predictor.calls == []


async def test_every_problem_is_listed(tezi: Running) -> None:
    found = entries(await tezi.client.post(PREDICT, json={"variant": 1}))
    assert {(entry["loc"][1], entry["type"]) for entry in found} == {
        ("bse_code", "missing"),
        ("prediction_date", "missing"),
        ("variant", "literal_error"),
    }


async def test_unknown_keys_are_ignored(tezi: Running) -> None:
    assert (await tezi.predict(extra={"deep": [1, None]}, model_version=7)).status_code == 200


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null", "true"])
async def test_a_body_that_is_not_an_object(tezi: Running, body: str) -> None:
    for path in (PREDICT, BATCH):
        (entry,) = entries(await post(tezi, body.encode(), path))
        assert entry["loc"] == ["body"]
        assert entry["msg"] == "Input should be an object"


async def post(
    tezi: Running, body: bytes, path: str = PREDICT, media_type: str | None = "application/json"
) -> httpx.Response:
    headers = {} if media_type is None else {"content-type": media_type}
    return await tezi.client.post(path, content=body, headers=headers)


BROKEN = {
    "nothing": b"",
    "cut short": b'{"bse_code": "500001"',
    "a comma too many": b'{"bse_code": "500001",}',
    "single quotes": b"{'bse_code': '500001'}",
    "something after it": b'{} {"a": 1}',
    "no UTF-8": b'{"bse_code": "\xff\xfe"}',
    "a lone surrogate": b'{"bse_code": "\\ud800"}',
    "NaN": b'{"bse_code": NaN}',
    "infinity in a key that is ignored": b'{"x": Infinity}',
    "bottomless": b"[" * 100_000,
    "bottomless objects": b'{"a":' * 40_000,
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a number of 5000 digits": b'{"bse_code": ' + b"9" * 5000 + b"}",
    "a NUL": b'{"bse_code": "\x00"}',
}


@pytest.mark.parametrize("path", [PREDICT, BATCH])
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_json(tezi: Running, body: bytes, path: str) -> None:
    (entry,) = entries(await post(tezi, body, path))
    assert (entry["type"], entry["loc"]) == ("json_invalid", ["body"])
    assert len(entry["input"]) <= 401


ODD = {
    "a number beyond float": (b'{"bse_code": 1e999}', None),
    "an integer of 4000 digits": (b'{"bse_code": ' + b"9" * 4000 + b"}", "a very large number"),
    "a long text": (b'{"bse_code": "' + b"x" * 5000 + b'"}', "x" * 200 + "…"),
    "a deep list": (b'{"bse_code": ' + b"[" * 50 + b"]" * 50 + b"}", [[["…"]]]),
    "a wide object": (
        b'{"bse_code": ' + json.dumps({str(n): n for n in range(99)}).encode() + b"}",
        {str(n): n for n in range(8)},
    ),
    "an escaped NUL": (b'{"bse_code": "\\u0000"}', "\x00"),
}


@pytest.mark.parametrize(("body", "echoed"), ODD.values(), ids=ODD.keys())
async def test_odd_values_come_back_short_and_as_json(
    tezi: Running, body: bytes, echoed: object
) -> None:
    found = entries(await post(tezi, body))
    given = [entry["input"] for entry in found if entry["loc"] == ["body", "bse_code"]]
    assert given == [echoed]


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/vnd.api+json", 200),
        (None, 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
    ],
)
async def test_content_types(tezi: Running, media_type: str | None, status: int) -> None:
    body = json.dumps(item()).encode()
    response = await post(tezi, body, PREDICT, media_type)
    assert response.status_code == status
    if status == 415:
        assert "application/json" in response.json()["detail"]


async def test_a_compressed_body_is_rejected(tezi: Running) -> None:
    response = await tezi.client.post(
        PREDICT, content=b"\x1f\x8b", headers={"content-encoding": "gzip"}
    )
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("code", "day", "status", "detail"),
    [
        ("599999", TODAY, 404, "No stock has the BSE code 599999"),
        ("000000", "2024-08-14", 404, "No stock has the BSE code 000000"),
        (
            "500001",
            "1890-01-01",
            422,
            "The stock 500001 has fewer than 34 price rows on or before 1890-01-01",
        ),
    ],
    ids=["unknown", "the golden row", "too young"],
)
async def test_stocks_without_a_prediction(
    tezi: Running, code: str, day: str, status: int, detail: str
) -> None:
    tezi.predictor.statuses |= {"599999": Status.UNKNOWN_STOCK, "500001": Status.SHORT_HISTORY}
    response = await tezi.predict(bse_code=code, prediction_date=day)
    assert (response.status_code, response.json()) == (status, {"detail": detail})


async def test_dates_after_today_in_mumbai_are_rejected(tezi: Running) -> None:
    (entry,) = entries(await tezi.predict(prediction_date="2026-08-15"))
    assert (entry["type"], entry["loc"], entry["input"]) == (
        "date_in_future",
        ["body", "prediction_date"],
        "2026-08-15",
    )
    assert "2026-08-14" in entry["msg"]
    assert tezi.predictor.calls == []
    assert (await tezi.predict(prediction_date="2026-08-14")).status_code == 200


async def test_a_day_begins_in_mumbai_before_utc(tmp_path: Path) -> None:
    late = datetime(2026, 8, 14, 18, 30, tzinfo=UTC)  # midnight in Mumbai
    async with running_app(tmp_path, now=late) as tezi:
        assert (await tezi.predict(prediction_date="2026-08-15")).status_code == 200
        assert (await tezi.predict(prediction_date="2026-08-16")).status_code == 422
        found = (await tezi.batch(item(day="2026-08-15"), item(day="2026-08-16"))).json()
        assert [one["error"] and one["error"]["code"] for one in found] == [None, "future_date"]


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "60001",
        "-5",
        "1.5",
        "abc",
        "",
        "1e3",
        "9" * 5000,
        "0" * 17 + "1" + "0" * 20,
        "1_0",
        "١٢",
    ],
)
async def test_a_malformed_deadline(tezi: Running, value: str) -> None:
    response = await tezi.client.post(
        PREDICT, json=item(), headers={b"X-Request-Timeout-Ms": value.encode()}
    )
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert entry["loc"] == ["header", "X-Request-Timeout-Ms"]
    assert "X-Request-Timeout-Ms" in entry["msg"]


@pytest.mark.parametrize(("value", "statuses"), [("1", {200, 504}), ("60000", {200})])
async def test_the_bounds_of_the_deadline(tezi: Running, value: str, statuses: set[int]) -> None:
    response = await tezi.client.post(PREDICT, json=item(), headers={"X-Request-Timeout-Ms": value})
    assert response.status_code in statuses
    assert all(timeout_s <= int(value) / 1000 for timeout_s in tezi.predictor.timeouts)


async def test_the_default_deadline_is_a_setting(tezi: Running) -> None:
    await tezi.predict()
    assert 30 < tezi.predictor.timeouts[-1] <= 60


@pytest.mark.parametrize("path", [PREDICT, BATCH])
async def test_a_deadline_that_passes_is_a_504(tezi: Running, path: str) -> None:
    tezi.predictor.release = asyncio.Event()
    body = item() if path == PREDICT else {"predictions": [item(), item("500002")]}
    response = await tezi.client.post(path, json=body, headers={"X-Request-Timeout-Ms": "30"})
    assert response.status_code == 504
    assert response.json() == {"detail": "There was no answer in time"}
    assert tezi.predictor.in_flight == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", PREDICT, 405, "POST"),
        ("DELETE", BATCH, 405, "POST"),
        ("POST", "/api/v1/stocks", 405, "GET, HEAD"),
        ("PUT", "/metrics", 405, "GET, HEAD"),
        ("OPTIONS", PREDICT, 405, "POST"),
        ("GET", "/nothing", 404, None),
        ("POST", PREDICT + "/", 404, None),
        ("GET", "/static/nothing.js", 404, None),
        ("GET", "/static/docs/__init__.py", 404, None),
        ("GET", "/static/docs/scalar.js", 404, None),
        ("GET", "/static/%2e%2e%2fapp.py", 404, None),
    ],
)
async def test_wrong_methods_and_unknown_paths(
    tezi: Running, method: str, path: str, status: int, allow: str | None
) -> None:
    response = await tezi.client.request(method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == allow
    assert isinstance(response.json()["detail"], str)
    assert "x-request-id" in response.headers
