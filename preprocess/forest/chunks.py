"""Rows in chunks that stay in the cache, by a Scan over them."""

import onnx
from onnx import TensorProto, helper

from preprocess.forest.graph import GraphWriter
from preprocess.forest.trees import Forest

# What a core keeps near: the second-level cache of today's servers is 1 MB and more.
CACHE_BYTES = 1_000_000
_FEWEST, _MOST = 8, 256

# A row's place among the leaves, what is asked there, the answer as a byte and widened, for each
# tree: what one operator writes and the next ones read.
_BYTES_A_TREE = 13


def rows_in_cache(forest: Forest, cache_bytes: int = CACHE_BYTES) -> int:
    """How many rows of a walk fit into the cache, by what it keeps of a row for each tree."""
    return max(_FEWEST, min(_MOST, cache_bytes // (_BYTES_A_TREE * forest.trees)))


def in_chunks(
    writer: GraphWriter, features: str, n_features: int, most: int, body: onnx.GraphProto
) -> str:
    """Run `body`, float32 [n, F] to float32 [n, 1], over N rows; the results joined, [N, 1].

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


def body_of(writer: GraphWriter, features: str, result: str) -> onnx.GraphProto:
    """What `writer` wrote as the body of a Scan; its constants stay outside."""
    return helper.make_graph(
        writer.nodes,
        "chunk",
        [helper.make_tensor_value_info(features, TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
    )
