"""Inference requests and responses: KServe's protocol v2 over HTTP with its binary extension.

The body is a JSON header that names the tensors, followed by their bytes. The HTTP header
Inference-Header-Content-Length gives the length of the JSON header.
"""

import re
from collections.abc import Sequence

import msgspec

from gateway.triton.http.connection import Reply
from gateway.triton.tensors import TensorError, pack_texts
from preprocess.features.manifest import FEATURE_COUNT

_LENGTH = b"inference-header-content-length"
_DIGITS = re.compile(rb"[0-9]{1,9}")  # int() also takes a sign, blanks and underscores

# The outputs of the ensembles `predict_<variant>`: Triton's type, and values per row.
_OUTPUTS = {
    "features": ("FP32", FEATURE_COUNT),
    "as_of": ("BYTES", 1),
    "status": ("BYTES", 1),
    "probability": ("FP32", 1),
    "model_version": ("INT64", 1),
}


class _Parameters(msgspec.Struct):
    binary_data_size: int | None = None


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _Header(msgspec.Struct):
    id: str
    outputs: list[_Output]


class _Refusal(msgspec.Struct):
    error: str


# msgspec's own error is not the only one: of texts that are not UTF-8, and of nesting without end.
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def inference_message(
    model: str, host: str, request_id: str, bse_codes: Sequence[str], dates: Sequence[str]
) -> bytes:
    """A complete HTTP request with one row per code, which requests all outputs as bytes.

    `model` is a name that needs no quoting in a path, `request_id` one in JSON; the response has
    the same id.
    """
    rows, codes, days = len(bse_codes), pack_texts(bse_codes), pack_texts(dates)
    header = (
        f'{{"id":"{request_id}","inputs":'
        f"[{_input('bse_code', rows, codes)},{_input('prediction_date', rows, days)}],"
        '"parameters":{"binary_data_output":true}}'
    )
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {host}\r\n"
        f"Inference-Header-Content-Length: {len(header)}\r\n"
        f"Content-Length: {len(header) + len(codes) + len(days)}\r\n\r\n"
    )
    return b"".join(((head + header).encode(), codes, days))


def inference_outputs(reply: Reply, request_id: str, count: int) -> dict[str, bytes]:
    """The bytes of each output of the ensembles, for `count` rows.

    Raises:
        TensorError: the response is not an inference, or is one to another request; or an output
            is missing, comes twice, has no bytes, or has the wrong type or shape.
    """
    body = memoryview(reply.body)
    length = reply.headers.get(_LENGTH, b"")
    start = int(length) if _DIGITS.fullmatch(length) else len(body) + 1
    if start > len(body):
        raise TensorError(f"not an inference: {_LENGTH.decode()} {length[:20]!r}")
    try:
        header = _decode_header(body[:start])
    except _NOT_JSON as error:
        raise TensorError(f"not an inference: {error}") from None
    if header.id != request_id:
        raise TensorError(f"a response to request {header.id[:40]!r}, not {request_id}")
    raw: dict[str, bytes] = {}
    for output in header.outputs:
        size = output.parameters.binary_data_size
        if size is None or not 0 <= size <= len(body) - start:
            raise TensorError(f"{output.name} comes without its bytes")
        if output.name in raw:
            raise TensorError(f"{output.name} comes twice")
        if output.name in _OUTPUTS:
            datatype, width = _OUTPUTS[output.name]
            if output.datatype != datatype or output.shape != [count, width]:
                raise TensorError(
                    f"{output.name} is {output.datatype} {output.shape}, "
                    f"not {datatype} [{count}, {width}]"
                )
            raw[output.name] = bytes(body[start : start + size])
        start += size
    if start != len(body):
        raise TensorError(f"{len(body) - start} bytes belong to no output")
    if len(raw) != len(_OUTPUTS):
        raise TensorError(f"no output {', '.join(sorted(_OUTPUTS.keys() - raw.keys()))}")
    return raw


def refusal(reply: Reply) -> str:
    """The server's own words in an error response."""
    try:
        return _decode_refusal(reply.body).error
    except _NOT_JSON:
        return reply.body[:300].decode(errors="replace")


def _input(name: str, rows: int, content: bytes) -> str:
    return (
        f'{{"name":"{name}","shape":[{rows},1],"datatype":"BYTES",'
        f'"parameters":{{"binary_data_size":{len(content)}}}}}'
    )
