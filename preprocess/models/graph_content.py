"""What a graph consists of: its operators, and the constants that its output depends on."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from preprocess.models.serving_graph import VERSION_INITIALIZER


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant that the probability depends on; `kind` is "int8", "float32" and so on."""

    kind: str
    elements: int
    read_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Operators with their counts, subgraphs included, and the constants in use."""

    operators: dict[str, int]
    constants: tuple[Constant, ...]
    opsets: dict[str, int]
    ir_version: int

    @property
    def tensor_types(self) -> dict[str, int]:
        """Number of elements by type."""
        counts: Counter[str] = Counter()
        for constant in self.constants:
            counts[constant.kind] += constant.elements
        return dict(sorted(counts.items()))


def content_of(graph: onnx.ModelProto) -> Content:
    """Read a graph. Constants that `probability` does not depend on are left out."""
    nodes = list(_all_nodes(graph.graph))
    readers: dict[str, list[str]] = {}
    producers = {output: node for node in nodes for output in node.output}
    needed: set[str] = set()
    pending = ["probability"]
    while pending:
        name = pending.pop()
        if name in needed:
            continue
        needed.add(name)
        node = producers.get(name)
        if node is None:
            continue
        for source in node.input:
            readers.setdefault(source, []).append(node.op_type)
            pending.append(source)
        for subgraph in _subgraphs(node):
            pending.extend(output.name for output in subgraph.output)
    constants = tuple(
        _constant(tensor, tuple(sorted(set(readers.get(tensor.name, [])))))
        for tensor in graph.graph.initializer
        if tensor.name in needed and tensor.name != VERSION_INITIALIZER
    )
    return Content(
        operators=dict(sorted(Counter(node.op_type for node in nodes).items())),
        constants=constants,
        opsets={opset.domain or "ai.onnx": opset.version for opset in graph.opset_import},
        ir_version=graph.ir_version,
    )


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for subgraph in _subgraphs(node):
            yield from _all_nodes(subgraph)


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH]


def _constant(tensor: onnx.TensorProto, read_by: tuple[str, ...]) -> Constant:
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return Constant(kind.name, int(np.prod(tensor.dims, dtype=np.int64)), read_by)
