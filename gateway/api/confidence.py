"""How sure a prediction is: in three words, and by its distance to the threshold."""

import math
from typing import Literal

Confidence = Literal["HIGH", "MEDIUM", "LOW"]

# Log-odds of 0 and 1 are infinite, which JSON lacks.
_LEAST = 1e-9


def confidence(probability: float) -> Confidence:
    """HIGH from 0.7 up or 0.3 down, LOW from 0.45 to 0.55, MEDIUM between.

    It says little where the threshold is far from 0.5; see `margin`.
    """
    if probability >= 0.7 or probability <= 0.3:
        return "HIGH"
    return "LOW" if 0.45 <= probability <= 0.55 else "MEDIUM"


def margin(probability: float, threshold: float) -> float:
    """Log-odds of the probability less those of the threshold: its sign is that of the label.

    1 means that the odds are 2.7 times those at the threshold, -1 that they are 2.7 times smaller.
    """
    return _log_odds(probability) - _log_odds(threshold)


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, _LEAST), 1.0 - _LEAST)
    return math.log(bounded / (1.0 - bounded))
