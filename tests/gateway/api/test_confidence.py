"""The rule of confidence, at its bounds."""

import math

import pytest

from gateway.api.confidence import confidence, margin


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.3, "HIGH"),
        (0.3000001, "MEDIUM"),
        (0.4499999, "MEDIUM"),
        (0.45, "LOW"),
        (0.55, "LOW"),
        (0.5500001, "MEDIUM"),
        (0.6999999, "MEDIUM"),
        (0.7, "HIGH"),
    ],
)
def test_the_bounds_of_confidence(probability: float, expected: str) -> None:
    assert confidence(probability) == expected


@pytest.mark.parametrize("threshold", [0.0, 1e-7, 0.14, 0.5, 0.999, 1.0])
def test_the_sign_of_the_margin_is_the_label(threshold: float) -> None:
    for probability in (0.0, 1e-7, 0.14 - 1e-8, 0.14, 0.14 + 1e-8, 0.5, 0.999, 1.0):
        distance = margin(probability, threshold)
        assert math.isfinite(distance)
        assert (distance >= 0) == (probability >= threshold)
