"""The rule of confidence, at its bounds."""

import pytest

from gateway.api.confidence import confidence


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
