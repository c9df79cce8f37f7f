"""The time of one request, split into parts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request's time: its mean in ms, and how it was found."""

    name: str
    ms: float
    how: str


@dataclass(frozen=True, slots=True)
class Clocks:
    """Means in ms of one request, each by the clock of whoever did the work.

    `end_to_end` is the caller's, `application` the X-Process-Time that the gateway answers with,
    `predictor` the gateway's wait for Triton, `ensemble` Triton's own time; `features` and
    `classifier` are the ensemble's two steps, without their queues, which are `queues`. `lookup`
    and `graph` are what those two do, run in this process on the same rows.
    """

    end_to_end: float
    application: float
    predictor: float
    ensemble: float
    queues: float
    features: float
    classifier: float
    lookup: float
    graph: float


@dataclass(frozen=True, slots=True)
class Split:
    """Where the mean request's time went: end_to_end = the sum of `parts` + `remainder`."""

    end_to_end: float
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, clocks: Clocks) -> "Split":
        """Each part is one clock's time without what the next one inside it measured."""
        c = clocks
        parts = (
            ("client and HTTP", c.end_to_end - c.application, "caller's time - X-Process-Time"),
            ("gateway", c.application - c.predictor, "X-Process-Time - wait for Triton"),
            ("HTTP to Triton and back", c.predictor - c.ensemble, "wait - the ensemble's time"),
            ("queues in Triton", c.queues, "Triton's statistics"),
            ("feature lookup", c.lookup, "the features' code, run in this process"),
            ("backend round the features", c.features - c.lookup, "compute time - lookup"),
            ("inference", c.graph, "the graph in ONNX Runtime, run in this process"),
            ("backend round the inference", c.classifier - c.graph, "compute time - graph"),
        )
        return cls(c.end_to_end, tuple(Part(*part) for part in parts))

    @property
    def remainder(self) -> float:
        """What Triton's clocks leave open, in ms: the ensemble's time beyond its steps."""
        return self.end_to_end - sum(part.ms for part in self.parts)

    def share(self, ms: float) -> float:
        """A time as a share of the whole."""
        return ms / self.end_to_end

    def top(self, count: int = 3) -> Sequence[Part]:
        """The dearest parts, dearest first."""
        return sorted(self.parts, key=lambda part: -part.ms)[:count]

    def lines(self) -> list[str]:
        """A table for a terminal, and the three dearest parts."""
        rows = [
            *((part.name, part.ms, part.how) for part in self.parts),
            ("remainder", self.remainder, "the ensemble's time beyond its steps"),
            ("end to end", self.end_to_end, "the caller's clock"),
        ]
        top = ", ".join(f"{part.name} ({self.share(part.ms):.0%})" for part in self.top())
        return [
            f"  {'part':28s} {'ms':>8s} {'share':>7s}  found by",
            *(f"  {name:28s} {ms:8.3f} {self.share(ms):7.1%}  {how}" for name, ms, how in rows),
            f"  Top three: {top}.",
        ]

    def document(self) -> dict[str, Any]:
        """For a JSON document; times in ms, shares as fractions."""
        return {
            "end_to_end_ms": self.end_to_end,
            "parts": [
                {"name": part.name, "ms": part.ms, "share": self.share(part.ms), "how": part.how}
                for part in self.parts
            ],
            "remainder_ms": self.remainder,
            "top": [part.name for part in self.top()],
        }
