"""The model repository by Triton's own protobuf: what both servers read is what is meant."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as config_pb2

from preprocess.errors import PublishError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.models.names import VARIANTS, Variant
from preprocess.repository.configs import (
    stable_classifier,
    stable_ensemble,
    version_classifier,
    version_ensemble,
)
from preprocess.repository.live import SOURCE

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
    kind = config_pb2.ModelInstanceGroup.KIND_CPU
    if found.backend == "onnxruntime":
        parameters = {"intra_op_thread_count", "inter_op_thread_count"}
        if found.name == "classifier_gpu":
            kind = config_pb2.ModelInstanceGroup.KIND_GPU
            parameters.add("session.disable_cpu_ep_fallback")
            assert found.parameters["session.disable_cpu_ep_fallback"].string_value == "1"
        assert set(found.parameters) == parameters
    for group in found.instance_group:
        assert (group.kind, group.count) == (kind, 1)


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
        *((f"classifier_{variant}", ROW, JUDGED) for variant in VARIANTS),
        *((f"predict_{variant}", NAMES, {**LOOKED_UP, **JUDGED}) for variant in VARIANTS),
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_ensemble_joins_the_two_by_tensors_that_they_have(variant: Variant) -> None:
    ensemble = config(f"predict_{variant}")
    steps = ensemble.ensemble_scheduling.step
    assert [step.model_name for step in steps] == ["features", f"classifier_{variant}"]
    for step in steps:
        part = config(step.model_name)
        assert set(step.input_map) == {tensor.name for tensor in part.input}
        assert set(step.output_map) == {tensor.name for tensor in part.output}
        assert step.model_version == -1
        assert part.max_batch_size == ensemble.max_batch_size


def test_rows_are_joined_without_delay_and_without_a_queue_policy() -> None:
    """A queue policy stalls the batcher of 2.51: docs/decisions/0008-no-queue-policy.md."""
    for name in ("features", *(f"classifier_{variant}" for variant in VARIANTS)):
        found = config(name)
        assert found.HasField("dynamic_batching")
        assert found.dynamic_batching.max_queue_delay_microseconds == 0
        assert not found.dynamic_batching.HasField("default_queue_policy")


def made(text: str) -> config_pb2.ModelConfig:
    return text_format.Parse(text, config_pb2.ModelConfig())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_version_is_served_as_its_variant_under_its_own_name(variant: Variant) -> None:
    classifier = made(version_classifier(SOURCE, variant, 7))
    assert classifier.name == f"classifier_{variant}_v7"
    classifier.name = f"classifier_{variant}"
    assert classifier == config(f"classifier_{variant}")

    ensemble = made(version_ensemble(SOURCE, variant, 7))
    assert ensemble.name == f"predict_{variant}_v7"
    step = ensemble.ensemble_scheduling.step[1]
    assert (step.model_name, step.model_version) == (f"classifier_{variant}_v7", 7)
    stable = made(stable_ensemble(SOURCE, variant, 7))
    assert stable.name == f"predict_{variant}"
    ensemble.name = stable.name
    assert ensemble == stable
    step.model_name, step.model_version = f"classifier_{variant}", -1
    assert ensemble == config(f"predict_{variant}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_plain_classifier_leads_to_a_version_and_looks_like_it(variant: Variant) -> None:
    found = made(stable_classifier(SOURCE, variant, 7))
    template = config(f"classifier_{variant}")
    assert (found.name, found.platform) == (template.name, "ensemble")
    assert list(found.input) == list(template.input)
    assert list(found.output) == list(template.output)
    (step,) = found.ensemble_scheduling.step
    assert (step.model_name, step.model_version) == (f"classifier_{variant}_v7", 7)
    assert dict(step.input_map) == {"features": "features"}
    assert dict(step.output_map) == {
        "probability": "probability",
        "model_version": "model_version",
    }


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"predict_fp32/config\.pbtxt cannot be read"):
        version_ensemble(tmp_path, "fp32", 1)
    (tmp_path / "predict_fp32").mkdir()
    (tmp_path / "predict_fp32" / "config.pbtxt").write_text("name: predict")
    with pytest.raises(PublishError, match="cannot be read"):
        version_ensemble(tmp_path, "fp32", 1)
