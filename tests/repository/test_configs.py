"""The model repository by Triton's own protobuf: what both servers read is what is meant."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as config_pb2

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.repository.live import SOURCE, model_names

CONFIGS = sorted(SOURCE.glob("*/config.pbtxt"))


def parsed(path: Path) -> config_pb2.ModelConfig:
    return text_format.Parse(path.read_text("utf-8"), config_pb2.ModelConfig())


def config(name: str) -> config_pb2.ModelConfig:
    return parsed(SOURCE / name / "config.pbtxt")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_every_config_parses_and_is_named_as_its_folder(path: Path) -> None:
    found = parsed(path)
    assert found.name == path.parent.name
    assert found.max_batch_size == 1024


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_nothing_depends_on_which_server_loads_it(path: Path) -> None:
    """24.10's native ONNX Runtime backend and ours take the same settings, and only these."""
    found = parsed(path)
    assert (found.backend, found.platform) in {
        ("python", ""),
        ("onnxruntime", ""),
        ("", "ensemble"),
    }
    # the native backend loads model.onnx unless told otherwise; ours knows no other name
    assert found.default_model_filename == ""
    # a runtime would make one server look for a library that the other does not have
    assert found.runtime == ""
    assert not found.HasField("optimization")
    if found.backend == "onnxruntime":
        assert set(found.parameters) == {"intra_op_thread_count", "inter_op_thread_count"}
    for group in found.instance_group:
        assert group.kind == config_pb2.ModelInstanceGroup.KIND_CPU


def shape(tensors: "list[config_pb2.ModelInput]") -> dict[str, tuple[int, tuple[int, ...]]]:
    return {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in tensors}


STRING, FP32, INT64 = config_pb2.TYPE_STRING, config_pb2.TYPE_FP32, config_pb2.TYPE_INT64
NAMES = {"bse_code": (STRING, (1,)), "prediction_date": (STRING, (1,))}
ROW = {"features": (FP32, (FEATURE_COUNT,))}
LOOKED_UP = {**ROW, "as_of": (STRING, (1,)), "status": (STRING, (1,))}
JUDGED = {"probability": (FP32, (1,)), "model_version": (INT64, (1,))}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("features", NAMES, LOOKED_UP),
        ("classifier_fp32", ROW, JUDGED),
        ("predict_fp32", NAMES, {**LOOKED_UP, **JUDGED}),
    ],
)
def test_tensors_are_those_of_the_contract(
    name: str,
    inputs: dict[str, tuple[int, tuple[int, ...]]],
    outputs: dict[str, tuple[int, tuple[int, ...]]],
) -> None:
    found = config(name)
    assert shape(found.input) == inputs
    assert shape(found.output) == outputs


def test_the_ensemble_joins_the_two_by_tensors_that_they_have() -> None:
    steps = config("predict_fp32").ensemble_scheduling.step
    assert [step.model_name for step in steps] == ["features", "classifier_fp32"]
    for step in steps:
        part = config(step.model_name)
        assert set(step.input_map) == {tensor.name for tensor in part.input}
        assert set(step.output_map) == {tensor.name for tensor in part.output}
        assert step.model_version == -1
        assert part.max_batch_size == config("predict_fp32").max_batch_size


def test_rows_are_joined_without_delay_and_without_a_queue_policy() -> None:
    """A queue policy stalls the batcher of 2.51: docs/decisions/0008-no-queue-policy.md."""
    for name in ("features", "classifier_fp32"):
        found = config(name)
        assert found.HasField("dynamic_batching")
        assert found.dynamic_batching.max_queue_delay_microseconds == 0
        assert not found.dynamic_batching.HasField("default_queue_policy")


def test_ensembles_are_loaded_after_what_they_need() -> None:
    assert model_names()[-1] == "predict_fp32"
    assert set(model_names()) == {path.parent.name for path in CONFIGS}
