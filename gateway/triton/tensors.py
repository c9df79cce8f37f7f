"""Triton's tensors as raw bytes, little-endian and row-major, as in its protocols.

A request has one row or a hundred; for one row struct costs a fraction of what arrays do.
"""

import struct
from collections.abc import Sequence


class TensorError(ValueError):
    """The bytes do not match the tensor's type and shape."""


def pack_texts(texts: Sequence[str]) -> bytes:
    """A BYTES tensor: each element's length as uint32, then its UTF-8."""
    encoded = [text.encode() for text in texts]
    return b"".join(len(text).to_bytes(4, "little") + text for text in encoded)


def unpack_texts(raw: bytes, count: int) -> list[str]:
    """The `count` elements of a BYTES tensor.

    Raises:
        TensorError: there are more or fewer, or one is not UTF-8.
    """
    texts: list[str] = []
    start = 0
    try:
        while start < len(raw):
            end = start + 4 + int.from_bytes(raw[start : start + 4], "little")
            if end > len(raw):
                raise TensorError("a text extends past the end")
            texts.append(raw[start + 4 : end].decode())
            start = end
    except UnicodeDecodeError as error:
        raise TensorError(f"a text is not UTF-8: {error}") from None
    if len(texts) != count:
        raise TensorError(f"{len(texts)} texts instead of {count}")
    return texts


def unpack_floats(raw: bytes, count: int) -> tuple[float, ...]:
    """The `count` elements of an FP32 tensor, widened without a change of value.

    Raises:
        TensorError: there are more or fewer.
    """
    if len(raw) != 4 * count:
        raise TensorError(f"{len(raw)} bytes instead of {4 * count}")
    return struct.unpack(f"<{count}f", raw)


def unpack_ints(raw: bytes, count: int) -> tuple[int, ...]:
    """The `count` elements of an INT64 tensor.

    Raises:
        TensorError: there are more or fewer.
    """
    if len(raw) != 8 * count:
        raise TensorError(f"{len(raw)} bytes instead of {8 * count}")
    return struct.unpack(f"<{count}q", raw)
