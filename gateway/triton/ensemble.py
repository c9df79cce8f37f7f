"""Answers of the ensembles `predict_<variant>`, as tensors of raw bytes."""

from collections.abc import Iterable
from typing import Protocol

from gateway.triton.tensors import TensorError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status

OUTPUTS = {
    "features": ("FP32", FEATURE_COUNT),
    "as_of": ("BYTES", 1),
    "status": ("BYTES", 1),
    "probability": ("FP32", 1),
    "model_version": ("INT64", 1),
}

_STATUSES = {status.value: status for status in Status}  # the class itself takes five times longer


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


def fitting_outputs(found: Iterable[tuple[Output, bytes]], count: int) -> dict[str, bytes]:
    """The bytes of all OUTPUTS, once their types and shapes are what `count` rows must have.

    Raises:
        TensorError: one is absent, or has another type or shape.
    """
    raw: dict[str, bytes] = {}
    for output, content in found:
        if output.name not in OUTPUTS:
            continue
        datatype, width = OUTPUTS[output.name]
        if output.datatype != datatype or list(output.shape) != [count, width]:
            raise TensorError(
                f"{output.name} is {output.datatype} {list(output.shape)}, "
                f"not {datatype} [{count}, {width}]"
            )
        raw[output.name] = content
    if len(raw) != len(OUTPUTS):
        raise TensorError(f"no output {', '.join(sorted(OUTPUTS.keys() - raw.keys()))}")
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
