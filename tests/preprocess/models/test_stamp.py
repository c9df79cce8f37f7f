"""The version in the graph."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from preprocess.errors import ModelError
from preprocess.models.stamp import stamp_version
from preprocess.models.variants import fp32_graph
from preprocess.training.folder import ModelFolder


def versions(graph: onnx.ModelProto, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.zeros((rows, 25), dtype=np.float32)
    x[::2] = np.nan
    (found,) = session.run(["model_version"], {"features": x})
    assert isinstance(found, np.ndarray)
    return found


def test_every_row_says_the_version_whatever_the_batch(trained: ModelFolder) -> None:
    graph = fp32_graph(trained.native(), trained.about)
    assert versions(graph, 3).tolist() == [[0], [0], [0]]
    for version in (1, 7, 2**40):
        stamped = stamp_version(graph, version)
        onnx.checker.check_model(stamped)
        for rows in (1, 2, 300):
            found = versions(stamped, rows)
            assert found.dtype == np.int64
            assert found.tolist() == [[version]] * rows


def test_the_graph_given_stays_as_it_was(trained: ModelFolder) -> None:
    graph = fp32_graph(trained.native(), trained.about)
    before = graph.SerializeToString(deterministic=True)
    stamped = stamp_version(graph, 5)
    assert graph.SerializeToString(deterministic=True) == before
    assert stamp_version(stamped, 0).SerializeToString(deterministic=True) == before


def test_a_foreign_graph_is_refused() -> None:
    graph = helper.make_model(helper.make_graph([], "empty", [], []))
    with pytest.raises(ModelError, match="tezi export"):
        stamp_version(graph, 1)
