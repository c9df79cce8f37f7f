"""Requests to the ensembles `predict_<variant>` and their answers, as tensors of raw bytes."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from tritonclient.grpc import service_pb2

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.triton.tensors import TensorError, pack_texts

OUTPUTS = {
    "features": ("FP32", FEATURE_COUNT),
    "as_of": ("BYTES", 1),
    "status": ("BYTES", 1),
    "probability": ("FP32", 1),
    "model_version": ("INT64", 1),
}

_STATUSES = {status.value: status for status in Status}  # the class itself takes five times longer
_Input = service_pb2.ModelInferRequest.InferInputTensor
_Requested = service_pb2.ModelInferRequest.InferRequestedOutputTensor


class Output(Protocol):
    """What an answer says of one output."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def datatype(self) -> str:
        """Its type, by Triton's name."""

    @property
    def shape(self) -> Iterable[int]:
        """Rows, and values of a row."""


def ensemble_request(
    ensemble: str,
    bse_codes: Sequence[str],
    prediction_dates: Sequence[str],
    *,
    outputs: Collection[str] = (),
) -> service_pb2.ModelInferRequest:
    """A request of one row a code to the ensemble of that name.

    `outputs` are those that are sent back (default: all).
    """
    shape = [len(bse_codes), 1]
    return service_pb2.ModelInferRequest(
        model_name=ensemble,
        inputs=[
            _Input(name="bse_code", datatype="BYTES", shape=shape),
            _Input(name="prediction_date", datatype="BYTES", shape=shape),
        ],
        outputs=[_Requested(name=name) for name in outputs],
        raw_input_contents=[pack_texts(bse_codes), pack_texts(prediction_dates)],
    )


def raw_outputs(
    response: service_pb2.ModelInferResponse,
    count: int,
    *,
    outputs: Collection[str] = tuple(OUTPUTS),
) -> dict[str, bytes]:
    """The bytes of `outputs`, once their types and shapes are what `count` rows must have.

    Raises:
        TensorError: one is absent, comes without its bytes, or has another type or shape.
    """
    if len(response.outputs) != len(response.raw_output_contents):
        raise TensorError("an output comes without its bytes")
    return fitting_outputs(
        zip(response.outputs, response.raw_output_contents, strict=True), count, outputs=outputs
    )


def fitting_outputs(
    found: Iterable[tuple[Output, bytes]],
    count: int,
    *,
    outputs: Collection[str] = tuple(OUTPUTS),
) -> dict[str, bytes]:
    """As `raw_outputs`, of outputs with their bytes, by whichever protocol they came."""
    raw: dict[str, bytes] = {}
    for output, content in found:
        if output.name not in outputs:
            continue
        datatype, width = OUTPUTS[output.name]
        if output.datatype != datatype or list(output.shape) != [count, width]:
            raise TensorError(
                f"{output.name} is {output.datatype} {list(output.shape)}, "
                f"not {datatype} [{count}, {width}]"
            )
        raw[output.name] = content
    if len(raw) != len(outputs):
        raise TensorError(f"no output {', '.join(sorted(set(outputs) - raw.keys()))}")
    return raw


def row_status(word: str) -> Status:
    """The status that a row carries.

    Raises:
        TensorError: it is no word that we know.
    """
    try:
        return _STATUSES[word]
    except KeyError:
        raise TensorError(f"the status {word[:40]!r} is not known") from None
