"""The time of one request, split into parts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request's time: its mean in ms, and how it was found out."""

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
        """The split that the clocks tell of.

        Each part is one clock's time without what the next one inside measured. The remainder is
        what Triton's own clocks leave open: the ensemble's time beyond its steps.
        """
        parts = (
            Part(
                "client and HTTP",
                clocks.end_to_end - clocks.application,
                "caller's time without X-Process-Time",
            ),
            Part(
                "gateway",
                clocks.application - clocks.predictor,
                "X-Process-Time without the wait for Triton",
            ),
            Part(
                "HTTP to Triton and back",
                clocks.predictor - clocks.ensemble,
                "wait for Triton without the ensemble's time",
            ),
            Part("queues in Triton", clocks.queues, "Triton's statistics"),
            Part("feature lookup", clocks.lookup, "the features' code, run in this process"),
            Part(
                "backend round the features",
                clocks.features - clocks.lookup,
                "Triton's compute time without the lookup",
            ),
            Part("inference", clocks.graph, "the graph in ONNX Runtime, run in this process"),
            Part(
                "backend round the inference",
                clocks.classifier - clocks.graph,
                "Triton's compute time without the graph",
            ),
        )
        return cls(clocks.end_to_end, parts)

    @property
    def remainder(self) -> float:
        """What no part accounts for, in ms."""
        return self.end_to_end - sum(part.ms for part in self.parts)

    def share(self, ms: float) -> float:
        """A time as a share of the whole."""
        return ms / self.end_to_end

    def top(self, count: int = 3) -> Sequence[Part]:
        """The dearest parts, dearest first."""
        return sorted(self.parts, key=lambda part: -part.ms)[:count]

    def document(self) -> dict[str, Any]:
        """The split for a JSON document; times in ms, shares as fractions."""
        return {
            "end_to_end_ms": self.end_to_end,
            "parts": [
                {"name": part.name, "ms": part.ms, "share": self.share(part.ms), "how": part.how}
                for part in self.parts
            ],
            "remainder_ms": self.remainder,
            "remainder_share": self.share(self.remainder),
            "top": [part.name for part in self.top()],
        }
