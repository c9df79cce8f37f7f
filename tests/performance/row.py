"""One metric of a benchmark."""

from dataclasses import dataclass

# `relative` is a difference by the size of what it is a difference of.
_SMALLER_IS_BETTER = ("ms", "s", "MB", "relative", "failures", "core h")


@dataclass(frozen=True)
class Row:
    """One metric: its value, the baseline of the same run, and the goal if there is one.

    A value of None was not measured; the note says why.

    `goal` is one for the value, `goal_ratio` one for the ratio; a metric may have both. What it
    took, where that was measured: `cpu_s` seconds of CPU, `read_mb` read or mapped from files,
    `peak_mb` the most memory its process held.
    """

    metric: str
    value: float | None
    unit: str
    baseline: float | None = None
    goal: float | None = None
    note: str = ""
    goal_ratio: float | None = None
    cpu_s: float | None = None
    read_mb: float | None = None
    peak_mb: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline; above 1 is better."""
        if not self.baseline or not self.value:
            return None
        if self.unit in _SMALLER_IS_BETTER:
            return self.baseline / self.value
        return self.value / self.baseline

    @property
    def met(self) -> bool | None:
        """Whether every goal is met; None where there is none, or nothing was measured."""
        if self.value is None:
            return None
        reached = []
        if self.goal is not None:
            smaller = self.unit in _SMALLER_IS_BETTER
            reached.append(self.value <= self.goal if smaller else self.value >= self.goal)
        if self.goal_ratio is not None:
            reached.append(self.ratio is not None and self.ratio >= self.goal_ratio)
        return all(reached) if reached else None
