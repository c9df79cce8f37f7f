"""What goes into the cache comes back as it was, and nothing else does."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.codec import decode, encode
from gateway.cache.redis.reading import Question, Stamp, decode_envelope, encode_envelope
from preprocess.errors import CacheError

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.decimals(allow_nan=False),
)
values = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(st.text(), values)
def test_every_value_comes_back_with_its_type(key: str, value: object) -> None:
    found = decode(key, encode(key, value))
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_and_moments_with_a_zone_come_back() -> None:
    moment = datetime(2026, 8, 14, 15, 30, tzinfo=UTC)
    found: Any = decode("k", encode("k", (math.nan, moment, date(2026, 8, 14), Decimal("1.10"))))
    assert math.isnan(found[0])
    assert found[1:] == [moment, date(2026, 8, 14), Decimal("1.10")]


@pytest.mark.parametrize("value", [{1: 2}, {1, 2}, object(), 2**64, 1j, "\ud800"])
def test_what_cannot_be_kept_is_refused(value: object) -> None:
    with pytest.raises(CacheError, match="cannot be cached"):
        encode("k", value)


STAMP = Stamp(b"epoch", 7)


@given(st.text(), st.binary(), st.integers(0, 2**62), st.integers(0, 2**62))
def test_an_envelope_says_whose_value_it_is_and_how_old(
    key: str, epoch: bytes, number: int, ends_ms: int
) -> None:
    body = encode(key, [1])
    sealed = decode_envelope(key, encode_envelope(key, body, Stamp(epoch, number), ends_ms))
    assert (sealed.body, sealed.stamp, sealed.ends_ms) == (body, Stamp(epoch, number), ends_ms)


_EXTENSIONS = [
    msgspec.msgpack.Ext(1, b"no date"),
    msgspec.msgpack.Ext(3, b"no number"),
    msgspec.msgpack.Ext(9, b""),
]


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"hello",
        b"\x92\xa1k",
        encode_envelope("k", encode("k", 1), STAMP, 1)[:-1],
        encode_envelope("k", encode("k", 1), STAMP, 1) + b"\x00",
        msgspec.msgpack.encode(("k", 1)),
        b"\x80\x04K\x01.",  # a pickle
    ],
)
def test_garbage_is_no_value(envelope: bytes) -> None:
    with pytest.raises(CacheError, match="cannot be read"):
        decode_envelope("k", envelope)


@pytest.mark.parametrize("body", [b"", *map(msgspec.msgpack.encode, _EXTENSIONS)])
def test_a_body_that_is_no_value_is_refused(body: bytes) -> None:
    with pytest.raises(CacheError, match="cannot be read"):
        decode("k", body)


def test_the_value_of_another_key_is_no_value() -> None:
    with pytest.raises(CacheError, match="the value of 'other'"):
        decode_envelope("k", encode_envelope("other", encode("other", 1), STAMP, 1))


@pytest.mark.parametrize("number", [b"many", b"9" * 20, b"9" * 5_000])
def test_a_generation_that_redis_cannot_have_counted_to_is_no_answer(number: bytes) -> None:
    question = Question(["prediction:500001:2026-08-14:1:fp32"])
    state = [b"epoch", number, *[None] * (len(question.fields) - 2)]
    with pytest.raises(ValueError, match=r"int|count"):
        question.read([[None], state])
