"""Inference over HTTP with tensors as bytes: KServe's protocol v2 and its binary extension.

A JSON header that names the tensors, then their bytes one after the other; the HTTP header
Inference-Header-Content-Length says where the one ends and the others begin.
"""

from collections.abc import Sequence

import msgspec

from gateway.triton.ensemble import fitting_outputs
from gateway.triton.http.connection import Reply
from gateway.triton.tensors import TensorError, pack_texts

_LENGTH = b"inference-header-content-length"


class _Parameters(msgspec.Struct):
    binary_data_size: int | None = None


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _Header(msgspec.Struct):
    outputs: list[_Output]


class _Refusal(msgspec.Struct):
    error: str


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def inference_message(
    model: str, host: str, bse_codes: Sequence[str], prediction_dates: Sequence[str]
) -> bytes:
    """A whole HTTP request for one row a code, whose outputs are all to come as bytes.

    `model` is a name that needs no quoting in a path.
    """
    rows, codes, days = len(bse_codes), pack_texts(bse_codes), pack_texts(prediction_dates)
    header = (
        f'{{"inputs":[{_input("bse_code", rows, codes)},{_input("prediction_date", rows, days)}],'
        '"parameters":{"binary_data_output":true}}'
    )
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {host}\r\n"
        f"Inference-Header-Content-Length: {len(header)}\r\n"
        f"Content-Length: {len(header) + len(codes) + len(days)}\r\n\r\n"
    )
    return b"".join(((head + header).encode(), codes, days))


def inference_outputs(reply: Reply, count: int) -> dict[str, bytes]:
    """The bytes of every output of the ensembles, for `count` rows.

    Raises:
        TensorError: the answer is none, or one is absent, comes without its bytes, or has another
            type or shape.
    """
    body = memoryview(reply.body)
    try:
        start = int(reply.headers[_LENGTH])
        header = _decode_header(body[:start])
    except (KeyError, ValueError) as error:  # what msgspec raises is a ValueError
        raise TensorError(f"no header of an inference: {error}") from None
    found: list[tuple[_Output, bytes]] = []
    for output in header.outputs:
        size = output.parameters.binary_data_size
        if size is None or not 0 <= size <= len(body) - start:
            raise TensorError("an output comes without its bytes")
        found.append((output, bytes(body[start : start + size])))
        start += size
    return fitting_outputs(found, count)


def refusal(reply: Reply) -> str:
    """Why the server refuses, in its words."""
    try:
        return _decode_refusal(reply.body).error
    except msgspec.DecodeError:
        return reply.body[:300].decode(errors="replace")


def _input(name: str, rows: int, content: bytes) -> str:
    return (
        f'{{"name":"{name}","shape":[{rows},1],"datatype":"BYTES",'
        f'"parameters":{{"binary_data_size":{len(content)}}}}}'
    )
