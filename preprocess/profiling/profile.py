"""What a profile has found: a split a shape of request, functions, operators; text and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from preprocess.profiling.flame import Panel, flame_graph
from preprocess.profiling.frames import Frame, hottest
from preprocess.profiling.graph import Operator
from preprocess.profiling.requests import Shape
from preprocess.profiling.split import Split
from preprocess.profiling.statistics import Path

_FUNCTIONS = 8


@dataclass(frozen=True, slots=True)
class ShapeProfile:
    """One shape of request: percentiles of the caller's time, the split, and what lies below.

    `path` is the way through Triton, and `in_triton` how many requests it has counted: a few more
    than were sent, for golden rows come between. `gateway` and `lookup` are
    sampled, which takes time of its own; their ms are of one request.
    """

    shape: Shape
    requests: int
    path: Path
    in_triton: int
    percentiles: Mapping[str, float]
    split: Split
    gateway: Frame
    lookup: Frame
    operators: Sequence[Operator]

    @property
    def title(self) -> str:
        """What was asked."""
        stocks = "one stock" if self.shape.rows == 1 else f"{self.shape.rows} stocks"
        return f"{stocks} a request, {self.requests} requests, one at a time"

    def text(self) -> str:
        """Tables for a terminal or a file."""
        split = self.split
        lines = [
            f"{self.title[0].upper()}{self.title[1:]}: {split.end_to_end:.3f} ms on average "
            + f"({', '.join(f'{name} {ms:.3f}' for name, ms in self.percentiles.items())})",
            f"  {self.path.ensemble} = {self.path.features}, {self.path.classifier} version "
            f"{self.path.classifier_version}",
            "",
            f"  {'part':28s} {'ms':>8s} {'share':>7s}  found by",
            *(
                f"  {part.name:28s} {part.ms:8.3f} {split.share(part.ms):7.1%}  {part.how}"
                for part in split.parts
            ),
            f"  {'remainder':28s} {split.remainder:8.3f} {split.share(split.remainder):7.1%}  "
            "the ensemble's time beyond its steps",
            f"  {'end to end':28s} {split.end_to_end:8.3f} {1.0:7.1%}  the caller's clock",
            "",
            "  Top three: "
            + ", ".join(f"{part.name} ({split.share(part.ms):.0%})" for part in split.top())
            + ".",
            "",
        ]
        for heading, frame in (("gateway", self.gateway), ("feature lookup", self.lookup)):
            lines.append(
                f"  Most of its own time in the {heading} ({frame.ms:.3f} ms while sampled):"
            )
            lines += [
                f"  {hot.ms:8.4f} ms  {hot.name} {hot.place}".rstrip()
                for hot in hottest(frame, _FUNCTIONS)
            ]
            lines.append("")
        lines.append("  Operators of the graph (profiled, which takes time of its own):")
        lines += [f"  {each.ms:8.4f} ms  {each.name}" for each in self.operators[:_FUNCTIONS]]
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, Any]:
        """The same for a JSON document."""
        return {
            "shape": self.shape.name,
            "rows_each": self.shape.rows,
            "requests": self.requests,
            "models": asdict(self.path),
            "requests_in_triton": self.in_triton,
            "percentiles_ms": dict(self.percentiles),
            **self.split.document(),
            "gateway_functions": [asdict(hot) for hot in hottest(self.gateway, _FUNCTIONS)],
            "lookup_functions": [asdict(hot) for hot in hottest(self.lookup, _FUNCTIONS)],
            "operators": [asdict(operator) for operator in self.operators],
        }

    def flame_graph(self) -> str:
        """An SVG: the parts, the gateway's functions, the lookup's, the graph's operators."""
        split = self.split
        parts = [Frame(part.name, "", part.ms) for part in split.parts]
        parts.append(Frame("remainder", "", split.remainder))
        operators = tuple(Frame(each.name, "", each.ms) for each in self.operators)
        spent = sum(operator.ms for operator in operators)
        return flame_graph(
            f"Tezi: {self.title}",
            [
                Panel(
                    f"End to end: {split.end_to_end:.3f} ms",
                    Frame("request", "", split.end_to_end, tuple(p for p in parts if p.ms > 0)),
                ),
                Panel(f"Gateway without waiting, sampled: {self.gateway.ms:.3f} ms", self.gateway),
                Panel(f"Feature lookup, sampled: {self.lookup.ms:.3f} ms", self.lookup),
                Panel(
                    f"Graph, profiled by ONNX Runtime: {spent:.3f} ms",
                    Frame("graph", "", spent, operators),
                ),
            ],
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """Both shapes, and what they ran on."""

    command: str
    machine: str
    seed: int
    variant: str
    shapes: Sequence[ShapeProfile]

    def text(self) -> str:
        """What the command prints."""
        return f"{self.command} on {self.machine}\n\n" + "\n".join(
            shape.text() for shape in self.shapes
        )

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "command": self.command,
            "machine": self.machine,
            "seed": self.seed,
            "variant": self.variant,
            "shapes": [shape.document() for shape in self.shapes],
        }
