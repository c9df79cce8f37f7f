"""The gateway's waits for Triton, read from the metrics that it really gives."""

import pytest

from gateway import metrics
from preprocess.errors import ServerError
from preprocess.profiling import gateway_clock
from preprocess.profiling.gateway_clock import Waits, read_waits


def test_the_name_is_the_gateways() -> None:
    assert gateway_clock.PREDICTOR_SECONDS == metrics.PREDICTOR_SECONDS


def test_waits_are_those_that_the_gateway_has_noted() -> None:
    noted = metrics.Metrics()
    empty = read_waits(noted.exposition().decode())
    assert empty == Waits(0, 0.0)
    for variant, outcome, seconds in (("fp32", "ok", 0.25), ("int8", "ok", 0.5)):
        noted.predictor_call(variant, outcome, 3, seconds)  # type: ignore[arg-type]  # two variants
    waits = read_waits(noted.exposition().decode())
    assert waits == Waits(2, 750.0)
    assert waits.mean_since(empty) == 375.0
    with pytest.raises(ServerError, match="asked Triton nothing"):
        waits.mean_since(waits)
