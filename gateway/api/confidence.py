"""How sure a probability is, in three words."""

from typing import Literal

Confidence = Literal["HIGH", "MEDIUM", "LOW"]


def confidence(probability: float) -> Confidence:
    """HIGH from 0.7 up or 0.3 down, LOW from 0.45 to 0.55, MEDIUM between."""
    if probability >= 0.7 or probability <= 0.3:
        return "HIGH"
    return "LOW" if 0.45 <= probability <= 0.55 else "MEDIUM"
