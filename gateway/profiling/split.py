"""The time of one request, split into parts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request's time: its mean in ms, and how it was measured."""

    name: str
    ms: float
    how: str


@dataclass(frozen=True, slots=True)
class Split:
    """Where the mean request's time went. All times are means in ms of one request.

    `end_to_end` is the caller's time, `application` the X-Process-Time of the gateway's response,
    `predictor` the gateway's wait for Triton, `ensemble` Triton's own time. `features` and
    `classifier` are the ensemble's two steps without their time in queues, which is `queues`.
    `lookup` and `graph` are the work of these two steps, run in this process on the same rows.
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

    @property
    def parts(self) -> tuple[Part, ...]:
        """Each part is one measurement minus the one nested inside it."""
        return (
            Part(
                "client and HTTP",
                self.end_to_end - self.application,
                "caller's time - X-Process-Time",
            ),
            Part("gateway", self.application - self.predictor, "X-Process-Time - wait for Triton"),
            Part(
                "HTTP to Triton and back",
                self.predictor - self.ensemble,
                "wait - the ensemble's time",
            ),
            Part("queues in Triton", self.queues, "Triton's statistics"),
            Part("feature lookup", self.lookup, "the same code, run in this process"),
            Part("backend around the features", self.features - self.lookup, "compute - lookup"),
            Part("inference", self.graph, "the graph in ONNX Runtime, run in this process"),
            Part("backend around the inference", self.classifier - self.graph, "compute - graph"),
        )

    @property
    def remainder(self) -> float:
        """The ensemble's time outside its two steps, in ms."""
        return self.end_to_end - sum(part.ms for part in self.parts)

    def top(self, count: int = 3) -> Sequence[Part]:
        """The most expensive parts, the most expensive first."""
        return sorted(self.parts, key=lambda part: -part.ms)[:count]

    def lines(self) -> list[str]:
        """A table for a terminal, and the three most expensive parts."""
        rows = [
            *self.parts,
            Part("remainder", self.remainder, "the ensemble's time outside its steps"),
            Part("end to end", self.end_to_end, "the caller's clock"),
        ]
        top = ", ".join(f"{part.name} ({part.ms / self.end_to_end:.0%})" for part in self.top())
        return [
            f"  {'part':28s} {'ms':>8s} {'share':>7s}  measured by",
            *(
                f"  {row.name:28s} {row.ms:8.3f} {row.ms / self.end_to_end:7.1%}  {row.how}"
                for row in rows
            ),
            f"  Top three: {top}.",
        ]

    def document(self) -> dict[str, Any]:
        """For a JSON document; times in ms, shares as fractions."""
        return {
            "end_to_end_ms": self.end_to_end,
            "parts": [
                {
                    "name": part.name,
                    "ms": part.ms,
                    "share": part.ms / self.end_to_end,
                    "how": part.how,
                }
                for part in self.parts
            ],
            "remainder_ms": self.remainder,
            "top": [part.name for part in self.top()],
        }
