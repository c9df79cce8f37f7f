"""What unfolds from the packed trees is what padding them gives, and costs nothing per row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from hypothesis import given, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper

from preprocess.forest.compiler import compile_for_cpu, compile_for_gpu
from preprocess.forest.graph import GraphWriter
from preprocess.forest.packed import packed_trees, unfold
from preprocess.forest.trees import Forest
from preprocess.forest.walk import padded_trees
from tests.preprocess.forest.forests import (
    forests,
    model_of,
    random_forest,
    random_rows,
    session_of,
)


def unfolded_tables(forest: Forest) -> tuple[list[NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """What ONNX Runtime makes of the packed trees: tables, leaf of each index, packed leaves."""
    comparison = np.arange(forest.size, dtype=np.int32)
    packed = packed_trees(forest, comparison)
    writer = GraphWriter("t_")
    found = unfold(writer, packed)
    names = [*found.tables, found.leaf_of_index]
    graph = helper.make_graph(
        writer.nodes,
        "tables",
        [],
        [helper.make_tensor_value_info(name, TensorProto.INT32, None) for name in names],
        list(writer.constants.values()),
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    *tables, leaf_of_index = session.run(names, {})
    return tables, leaf_of_index, packed.values


@given(forest=forests)
@settings(max_examples=30, deadline=None)
def test_the_tables_are_those_of_padded_trees(forest: Forest) -> None:
    tables, leaf_of_index, values = unfolded_tables(forest)
    padded = padded_trees(forest, np.arange(forest.size, dtype=np.int32))
    leaves = values[leaf_of_index].reshape(forest.trees, -1)
    # Packed trees have at least three levels; those below the forest's own repeat its leaves.
    repeats = leaves.shape[1] // len(padded.leaves)
    assert np.array_equal(leaves, np.repeat(padded.leaves.T, repeats, axis=1))
    for found, table in zip(tables, padded.tables, strict=False):
        inner = ~forest.is_leaf[table]
        assert np.array_equal(found[inner], table[inner])


def test_a_sparse_forest_is_held_in_less_than_its_padded_tables() -> None:
    forest = random_forest(300, 6, stop=0.35)
    packed = compile_for_cpu(forest, chunk_rows=64)
    padded = compile_for_gpu(forest)
    assert 4 * model_of(packed).ByteSize() < model_of(padded).ByteSize()


def test_nothing_is_left_to_unfold_when_a_batch_comes(tmp_path: Path) -> None:
    model = model_of(compile_for_cpu(random_forest(40, 5), chunk_rows=16, sweep_from=4))
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    session.run(["margin"], {"features": random_rows(20)})
    session.run(["margin"], {"features": random_rows(2)})
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    ran = {event["args"]["op_name"] for event in events if event.get("cat") == "Node"}
    assert {"MatMulInteger", "GatherElements"} <= ran
    assert not ran & {"TopK", "CumSum", "BitwiseAnd", "ReduceMax"}


def test_without_optimisations_the_answers_are_the_same() -> None:
    model = model_of(compile_for_cpu(random_forest(9, 5), chunk_rows=8, sweep_from=3))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = random_rows(20)
    for rows in (2, 20):
        feed = {"features": x[:rows]}
        assert np.array_equal(
            plain.run(["margin"], feed)[0], session_of(model).run(["margin"], feed)[0]
        )
