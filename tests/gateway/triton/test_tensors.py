"""Tensors as bytes, against the client library's own reading and writing of them."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from gateway.triton.tensors import (
    TensorError,
    pack_texts,
    unpack_floats,
    unpack_ints,
    unpack_texts,
)

texts = st.lists(st.text(), min_size=1, max_size=20)


@given(texts)
def test_texts_are_packed_as_the_client_library_packs_them(given: list[str]) -> None:
    array = np.array([text.encode() for text in given], dtype=np.object_)
    packed = pack_texts(given)
    assert packed == serialize_byte_tensor(array).item()
    assert [text.decode() for text in deserialize_bytes_tensor(packed)] == given
    assert unpack_texts(packed, len(given)) == given


@given(st.binary(max_size=64), st.integers(0, 4))
def test_any_bytes_are_texts_or_refused(raw: bytes, count: int) -> None:
    try:
        found = unpack_texts(raw, count)
    except TensorError:
        return
    assert pack_texts(found) == raw
    assert len(found) == count


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_keep_their_value(values: list[float]) -> None:
    raw = np.array(values, dtype=np.float32).tobytes()
    assert list(unpack_floats(raw, len(values))) == values


def test_a_missing_float_stays_missing() -> None:
    (value,) = unpack_floats(struct.pack("<f", math.nan), 1)
    assert math.isnan(value)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_keep_their_value(values: list[int]) -> None:
    assert list(unpack_ints(np.array(values, dtype=np.int64).tobytes(), len(values))) == values


@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_another_length_is_refused(size: int) -> None:
    with pytest.raises(TensorError):
        unpack_floats(b"\0" * size, 1)
    with pytest.raises(TensorError):
        unpack_ints(b"\0" * (size + 1), 1)
