"""One way of computing a forest: what it took, what it answered, whether that was right."""

from dataclasses import dataclass

import numpy as np

from preprocess.models.native import Doubles
from tests.performance.held_out import Plan
from tests.performance.measure import Measured


@dataclass(frozen=True)
class Contender:
    """What was measured of one way, and the size of the file that it computes from."""

    name: str
    measured: Measured
    plan: Plan
    size_mb: float

    def ms(self, rows: int) -> list[float]:
        """Times of every call of so many rows, in ms."""
        return [
            second * 1e3
            for number, times in enumerate(self.measured.times)
            if self.plan.size(number) == rows
            for second in times.seconds
        ]

    def median_ms(self, rows: int) -> float:
        """Median of them."""
        return float(np.median(self.ms(rows)))

    @property
    def answers(self) -> Doubles:
        """The probabilities of every measured row, in the plan's order."""
        return np.concatenate([times.result for times in self.measured.times])

    def require(self, expected: Doubles, tolerance: float) -> None:
        """Compare the answers with `expected`, which may be those of the first rows alone.

        Raises:
            RuntimeError: one is further off than `tolerance`, or missing.
        """
        found = self.answers[: len(expected)]
        if len(found) < len(expected):
            raise RuntimeError(f"{self.name} answered {len(found):,} of {len(expected):,} rows.")
        apart = np.abs(found - expected)
        wrong = ~(apart <= tolerance)  # NaN is wrong too
        if wrong.any():
            row = int(wrong.argmax())
            raise RuntimeError(
                f"{self.name} answers wrong for {int(wrong.sum()):,} of {len(found):,} rows: row "
                f"{row} has {found[row]:.6g} instead of {expected[row]:.6g}. It is not measured."
            )
