"""Writing ONNX nodes one after the other, with a name for each result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


@dataclass(slots=True)
class GraphWriter:
    """Nodes and constants of a graph in the making; all names begin with `prefix`.

    Results are numbered, because their names are a good part of a small graph's size; `mark` goes
    before the number in a subgraph, which shares its constants with the graph around it.
    """

    prefix: str
    mark: str = ""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def inside(self, mark: str) -> "GraphWriter":
        """A writer for a subgraph, which may use the constants and results of this one."""
        return GraphWriter(self.prefix, mark, [], self.constants)

    def add(
        self, operator: str, inputs: Sequence[str], *, output: int = 0, **attributes: Any
    ) -> str:
        """Append a node; the name of its output number `output`, which is its last."""
        name = f"{self.prefix}{self.mark}{len(self.nodes)}"
        names = [*(f"{name}.{place}" for place in range(output)), name]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Hold an array under a name that is used for it alone; the full name."""
        full = f"{self.prefix}{name}"
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), full)
        held = self.constants.setdefault(full, tensor)
        if held != tensor:
            raise KeyError(f"{full} is the name of another constant already")
        return full

    def integers(self, *values: int) -> str:
        """A constant int64 vector; the same values share one."""
        text = ",".join(str(value) for value in values)
        return self.constant(f"[{text}]", np.array(values, dtype=np.int64))

    def number(self, value: float, kind: type[np.generic]) -> str:
        """A constant scalar."""
        return self.constant(f"{kind.__name__}:{value!r}", np.array(value, dtype=kind))
