"""Whatever is given becomes a validated value or a list of problems that JSON can carry."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.api.incoming import echo, parse_json, validated
from gateway.api.schemas import BatchRequest, PredictionRequest, StocksQuery
from gateway.errors import InvalidRequestError

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
near = st.dictionaries(
    st.sampled_from([*PredictionRequest.model_fields, "predictions", "other"]),
    documents | st.sampled_from(["500325", "2026-08-14", "2026-02-30", "fp32"]),
)


def problems(model: type[BaseModel], given: Any) -> list[dict[str, Any]]:
    """What is wrong with `given`; nothing if it is a `model`."""
    try:
        validated(model, given, "body")
    except InvalidRequestError as error:
        return error.detail
    return []


def require_presentable(found: list[dict[str, Any]]) -> None:
    for entry in found:
        assert set(entry) == {"type", "loc", "msg", "input"}
        assert entry["loc"][0] == "body"
    assert len(msgspec.json.encode(found)) < 200_000


@given(documents | near)
def test_any_document_is_judged(given: Any) -> None:
    require_presentable(problems(PredictionRequest, given))
    require_presentable(problems(BatchRequest, given))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_refused(body: bytes) -> None:
    try:
        found = parse_json(body)
    except InvalidRequestError as error:
        require_presentable(error.detail)
    else:
        assert found == json.loads(body)


@given(documents)
def test_an_echo_is_short_and_json(given: Any) -> None:
    assert len(msgspec.json.encode(echo(given))) < 600_000


@given(st.dictionaries(st.sampled_from(["q", "limit", "offset"]), st.text()))
def test_any_query_is_judged(query: dict[str, str]) -> None:
    require_presentable(problems(StocksQuery, query))
