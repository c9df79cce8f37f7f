"""InferenceOptimizer as a user calls it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import pytest
import xgboost
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert.common.data_types import FloatTensorType

from preprocess.errors import ModelError
from preprocess.inference_optimizer import InferenceOptimizer
from preprocess.models.card import Family
from preprocess.models.folder import MODEL_FILES, ModelFolder
from preprocess.models.xgboost_model import XGBoostModel
from tests.training.conftest import trained
from tests.training.samples import dataset

__all__ = ["trained"]

SAMPLES = dataset(900)


@cache
def xgboost_estimator() -> xgboost.XGBClassifier:
    return xgboost.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1).fit(SAMPLES.x, SAMPLES.y)


@cache
def lightgbm_estimator() -> lightgbm.LGBMClassifier:
    estimator = lightgbm.LGBMClassifier(
        n_estimators=20, max_depth=4, n_jobs=1, verbosity=-1, deterministic=True
    )
    return estimator.fit(SAMPLES.x, SAMPLES.y)


def answers(path: Path) -> NDArray[np.float32]:
    session = InferenceOptimizer.load_onnx_model(path)
    return InferenceOptimizer.predict_batch_onnx(session, SAMPLES.x)


def test_an_estimator_and_its_booster_become_the_same_graph(tmp_path: Path) -> None:
    estimator, other = xgboost_estimator(), lightgbm_estimator()
    for family, model, booster, expected in (
        ("xgboost", estimator, estimator.get_booster(), estimator.predict_proba(SAMPLES.x)[:, 1]),
        ("lightgbm", other, other.booster_, other.booster_.predict(SAMPLES.x)),
    ):
        paths = [
            InferenceOptimizer.convert_to_onnx(given, family, tmp_path / f"{family}-{number}.onnx")  # type: ignore[arg-type]  # from the table
            for number, given in enumerate((model, booster))
        ]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        assert np.abs(answers(paths[0]) - expected).max() <= 1e-6
        said = {item.key: item.value for item in onnx.load(paths[0]).metadata_props}
        assert said["tezi.family"] == family
        assert said["tezi.threshold"] == "0.5"


def test_a_model_folder_keeps_its_card(trained: ModelFolder, tmp_path: Path) -> None:
    family = trained.about.family
    paths = [
        InferenceOptimizer.convert_to_onnx(given, family, tmp_path / f"{number}.onnx")
        for number, given in enumerate((trained, trained.path, str(trained.path)))
    ]
    assert len({path.read_bytes() for path in paths}) == 1
    said = {item.key: item.value for item in onnx.load(paths[0]).metadata_props}
    assert said["tezi.model_id"] == trained.about.model_id
    file = InferenceOptimizer.convert_to_onnx(
        trained.path / MODEL_FILES[family], family, tmp_path / "file.onnx"
    )
    assert np.array_equal(answers(file), answers(paths[0]))
    other: Family = "lightgbm" if family == "xgboost" else "xgboost"
    with pytest.raises(ModelError, match=f"is a {family} model, and not {other}"):
        InferenceOptimizer.convert_to_onnx(trained, other, tmp_path / "no.onnx")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="A dict cannot be converted: give a fitted XGBClassifier"):
        InferenceOptimizer.convert_to_onnx({}, "xgboost", tmp_path / "no.onnx")
    with pytest.raises(ModelError, match=r"A XGBClassifier cannot be .* fitted LGBMClassifier"):
        InferenceOptimizer.convert_to_onnx(xgboost_estimator(), "lightgbm", tmp_path / "no.onnx")
    with pytest.raises(ModelError, match="is no XGBoost model"):
        InferenceOptimizer.convert_to_onnx(tmp_path / "absent", "xgboost", tmp_path / "no.onnx")
    assert not (tmp_path / "no.onnx").exists()


def test_a_graph_that_computes_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = XGBoostModel.tree_node

    def wrong(self: XGBoostModel) -> onnx.NodeProto:
        made = node(self)
        weights = next(item for item in made.attribute if item.name == "class_weights")
        weights.floats[0] += 0.5
        return made

    monkeypatch.setattr(XGBoostModel, "tree_node", wrong)
    with pytest.raises(ModelError, match="does not compute what the model computes"):
        InferenceOptimizer.convert_to_onnx(xgboost_estimator(), "xgboost", tmp_path / "no.onnx")
    assert not (tmp_path / "no.onnx").exists()


def test_a_forest_is_quantised_within_its_graph(tmp_path: Path) -> None:
    source = InferenceOptimizer.convert_to_onnx(
        xgboost_estimator(), "xgboost", tmp_path / "fp32.onnx"
    )
    made = InferenceOptimizer.quantize_onnx_model(source, tmp_path / "int8.onnx")
    assert (made.forests, made.matrices) == (1, 0)
    assert made.size_before == source.stat().st_size
    operators = {node.op_type for node in made.graph.graph.node}
    assert "TreeEnsembleClassifier" not in operators
    said = {item.key: item.value for item in made.graph.metadata_props}
    assert said["tezi.variant"] == "int8"
    found, expected = answers(tmp_path / "int8.onnx"), answers(source)
    assert 0 < np.abs(found - expected).max() < 1e-4


def test_the_graph_of_a_plain_conversion_keeps_its_outputs(tmp_path: Path) -> None:
    graph = onnxmltools.convert_lightgbm(
        lightgbm_estimator(),
        initial_types=[("x", FloatTensorType([None, 25]))],
        target_opset=15,
        zipmap=False,
    )
    onnx.save(graph, str(tmp_path / "plain.onnx"))
    InferenceOptimizer.quantize_onnx_model(tmp_path / "plain.onnx", tmp_path / "int8.onnx")
    before, after = (
        InferenceOptimizer.load_onnx_model(tmp_path / name).run(None, {"x": SAMPLES.x})
        for name in ("plain.onnx", "int8.onnx")
    )
    assert after[0].tolist() == before[0].tolist()
    assert np.abs(after[1] - before[1]).max() < 1e-4


def product(*, constant: bool) -> onnx.ModelProto:
    """x [N, 64] times a matrix [64, 32]."""
    weights = np.random.default_rng(1).normal(size=(64, 32)).astype(np.float32)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])]
    held = [numpy_helper.from_array(weights, "w")] if constant else []
    if not constant:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [64, 32]))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])],
        held,
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def test_a_matrix_gets_int8_weights(tmp_path: Path) -> None:
    onnx.save(product(constant=True), str(tmp_path / "fp32.onnx"))
    made = InferenceOptimizer.quantize_onnx_model(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    assert (made.forests, made.matrices) == (0, 1)
    assert made.size_after < made.size_before / 2
    x = np.random.default_rng(2).normal(size=(5, 64)).astype(np.float32)
    before, after = (
        InferenceOptimizer.load_onnx_model(tmp_path / name).run(None, {"x": x})[0]
        for name in ("fp32.onnx", "int8.onnx")
    )
    assert np.abs(after - before).max() < 0.5


def two_forests(graph: onnx.ModelProto) -> None:
    graph.graph.node.insert(0, next(n for n in graph.graph.node if "Tree" in n.op_type))


def many_features(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "F"


def probit(graph: onnx.ModelProto) -> None:
    set_transform(graph, b"PROBIT")


def no_transform(graph: onnx.ModelProto) -> None:
    set_transform(graph, b"NONE")


def set_transform(graph: onnx.ModelProto, value: bytes) -> None:
    node = next(node for node in graph.graph.node if "Tree" in node.op_type)
    next(item for item in node.attribute if item.name == "post_transform").s = value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (two_forests, "with 2 forests"),
        (many_features, "a fixed number of features"),
        (probit, "goes through PROBIT"),
        (no_transform, "two integer classes with LOGISTIC"),
    ],
)
def test_forests_that_cannot_be_quantised(
    change: Callable[[onnx.ModelProto], None], says: str, tmp_path: Path
) -> None:
    source = InferenceOptimizer.convert_to_onnx(
        xgboost_estimator(), "xgboost", tmp_path / "fp32.onnx"
    )
    graph = onnx.load(source)
    change(graph)
    onnx.save(graph, str(source))
    with pytest.raises(ModelError, match=says):
        InferenceOptimizer.quantize_onnx_model(source, tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()


def test_where_nothing_can_be_quantised_it_says_so(tmp_path: Path) -> None:
    onnx.save(product(constant=False), str(tmp_path / "free.onnx"))
    plain = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["y"])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(helper.make_model(plain), str(tmp_path / "plain.onnx"))
    for name, operators in (("free.onnx", "MatMul"), ("plain.onnx", "Abs")):
        with pytest.raises(ModelError, match=f"Nothing .* could be quantised.*{operators}"):
            InferenceOptimizer.quantize_onnx_model(tmp_path / name, tmp_path / "no.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"\xff\xff\xff")
    for name in ("noise.onnx", "absent.onnx"):
        with pytest.raises(ModelError, match=f"{name} is no ONNX graph"):
            InferenceOptimizer.quantize_onnx_model(tmp_path / name, tmp_path / "no.onnx")
    assert not (tmp_path / "no.onnx").exists()


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(ModelError, match=r"noise.onnx cannot be loaded: .+") as error:
        InferenceOptimizer.load_onnx_model(tmp_path / "noise.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU here"
)
def test_without_a_gpu_none_is_pretended(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no GPU for ONNX Runtime here"):
        InferenceOptimizer.load_onnx_model(tmp_path / "any.onnx", use_gpu=True)


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    path = InferenceOptimizer.convert_to_onnx(xgboost_estimator(), "xgboost", tmp_path / "m.onnx")
    session = InferenceOptimizer.load_onnx_model(path)
    with pytest.raises(ModelError, match=r"rows of 25 features, not \(2, 24\)"):
        InferenceOptimizer.predict_batch_onnx(session, np.zeros((2, 24), dtype=np.float32))
    assert InferenceOptimizer.predict_batch_onnx(session, SAMPLES.x[:0]).shape == (0,)


def test_timing_takes_fresh_rows(tmp_path: Path) -> None:
    path = InferenceOptimizer.convert_to_onnx(xgboost_estimator(), "xgboost", tmp_path / "m.onnx")
    session = InferenceOptimizer.load_onnx_model(path)
    timing = InferenceOptimizer.benchmark_inference(session, SAMPLES.x, batch=10, calls=50)
    assert 0 < timing.p50 <= timing.p95 <= timing.p99
    assert timing.rows_per_second == pytest.approx(10 / timing.p50 * 1e3)
    with pytest.raises(ModelError, match="19 rows are too few to time batches of 10"):
        InferenceOptimizer.benchmark_inference(session, SAMPLES.x[:19], batch=10)
