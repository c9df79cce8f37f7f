"""Writing ONNX graphs: nodes with a name for each result, and rows in chunks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


@dataclass(slots=True)
class GraphWriter:
    """Nodes and constants of a graph that is being written; all names begin with `prefix`.

    Results are numbered, because names take up a good part of a small graph; `mark` precedes the
    number in a subgraph, which shares its constants with the graph around it.
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
        """Append a node; returns the name of its output number `output`, which is its last."""
        name = f"{self.prefix}{self.mark}{len(self.nodes)}"
        names = [*(f"{name}.{index}" for index in range(output)), name]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Store an array under a name that is used only for it; returns the full name."""
        full = f"{self.prefix}{name}"
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), full)
        stored = self.constants.setdefault(full, tensor)
        if stored != tensor:
            raise KeyError(f"{full} is already the name of another constant")
        return full

    def integers(self, *values: int) -> str:
        """A constant int64 vector; the same values share one."""
        text = ",".join(str(value) for value in values)
        return self.constant(f"[{text}]", np.array(values, dtype=np.int64))

    def number(self, value: float, kind: type[np.generic]) -> str:
        """A constant scalar."""
        return self.constant(f"{kind.__name__}:{value!r}", np.array(value, dtype=kind))


def in_chunks(
    writer: GraphWriter, features: str, n_features: int, most: int, body: onnx.GraphProto
) -> str:
    """Run `body`, float32 [n, F] to [n, 1], over N rows; the joined results are [N, 1].

    All chunks have the same size, at most `most` rows, and the last one is padded with a few empty
    rows: 129 rows become two chunks of 65, rather than 128 and 1 padded to 128. No rows become one
    empty chunk.
    """
    one, limit = writer.integers(1), writer.integers(most)
    rows = writer.add("Shape", [features], start=0, end=1)
    chunks = writer.add("Div", [writer.add("Add", [rows, writer.integers(most - 1)]), limit])
    chunks = writer.add("Max", [chunks, one])
    size = writer.add("Add", [rows, writer.add("Sub", [chunks, one])])
    size = writer.add("Div", [size, chunks])
    lacking = writer.add("Sub", [writer.add("Mul", [chunks, size]), rows])
    pads = writer.add("Concat", [writer.integers(0, 0), lacking, writer.integers(0)], axis=0)
    filled = writer.add("Pad", [features, pads])
    shape = writer.add("Concat", [chunks, size, writer.integers(n_features)], axis=0)
    stacked = writer.add("Reshape", [filled, shape], allowzero=1)
    results = writer.add("Scan", [stacked], body=body, num_scan_inputs=1)
    flat = writer.add("Reshape", [results, writer.integers(-1, 1)])
    return writer.add("Slice", [flat, writer.integers(0), rows])


def body_of(writer: GraphWriter, inputs: list[str], result: str) -> onnx.GraphProto:
    """The nodes of `writer` as a subgraph; its constants stay outside."""
    return helper.make_graph(
        writer.nodes,
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
    )


def below(
    writer: GraphWriter, features: str, rows: int, few: onnx.GraphProto, many: onnx.GraphProto
) -> str:
    """Run `few` below `rows` rows, otherwise `many`; both read `features` from outside."""
    count = writer.add("Shape", [features], start=0, end=1)
    count = writer.add("Squeeze", [count])
    is_few = writer.add("Less", [count, writer.number(rows, np.int64)])
    return writer.add("If", [is_few], then_branch=few, else_branch=many)
