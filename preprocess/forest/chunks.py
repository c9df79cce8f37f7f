"""Batches: rows in chunks that stay in the cache, and one of two ways by their number."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from preprocess.forest.graph import GraphWriter


def in_chunks(
    writer: GraphWriter, features: str, n_features: int, most: int, body: onnx.GraphProto
) -> str:
    """Run `body`, float32 [n, F] to [n, 1], over N rows; the results joined, [N, 1].

    The chunks are of one size, at most `most` rows, with a few empty rows at the end of the last:
    129 rows are two chunks of 65 and not 128 and 1 filled up to 128. No rows are one empty chunk.
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
    """What `writer` wrote as a subgraph; its constants stay outside."""
    return helper.make_graph(
        writer.nodes,
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
    )


def below(
    writer: GraphWriter, features: str, rows: int, few: onnx.GraphProto, many: onnx.GraphProto
) -> str:
    """`few` for less than `rows` rows, else `many`; both take `features` from outside."""
    count = writer.add("Shape", [features], start=0, end=1)
    count = writer.add("Squeeze", [count])
    is_few = writer.add("Less", [count, writer.number(rows, np.int64)])
    return writer.add("If", [is_few], then_branch=few, else_branch=many)
