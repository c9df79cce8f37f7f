"""Triton's statistics: what was done between two readings, and by which models."""

from collections.abc import Mapping

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from preprocess.errors import ServerError
from preprocess.profiling.statistics import (
    Path,
    TritonStatistics,
    Work,
    done_between,
    ensemble_work,
    works,
)
from tests.integration.stack import free_ports

ENSEMBLE = """
platform: "ensemble"
ensemble_scheduling {
  step {
    model_name: "features" model_version: -1
    input_map { key: "bse_code" value: "bse_code" }
    output_map { key: "features" value: "features" }
  }
  step {
    model_name: "classifier_fp32_v7" model_version: 7
    input_map { key: "features" value: "features" }
    output_map { key: "probability" value: "probability" }
  }
}
"""
# A classifier's plain name is an ensemble as well, of one step.
ONE_STEP = """
platform: "ensemble"
ensemble_scheduling {
  step {
    model_name: "classifier_fp32_v7" model_version: 7
    output_map { key: "probability" value: "probability" }
  }
}
"""
PATH = Path("predict_fp32_v7", "features", "classifier_fp32_v7", "7")


def reading(**models: tuple[str, int, float, float, float]) -> service_pb2.ModelStatisticsResponse:
    """Statistics by model: version, requests, and ms in success, queue and each compute step."""
    answer = service_pb2.ModelStatisticsResponse()
    for name, (version, count, success, queue, compute) in models.items():
        model = answer.model_stats.add(name=name, version=version)
        stats = model.inference_stats
        stats.success.count, stats.success.ns = count, int(success * 1e6)
        stats.queue.ns = int(queue * 1e6)
        for part in (stats.compute_input, stats.compute_infer, stats.compute_output):
            part.ns = int(compute * 1e6)
    return answer


BEFORE = reading(
    features=("1", 10, 100.0, 1.0, 10.0),
    classifier_fp32_v7=("7", 10, 50.0, 1.0, 5.0),
    classifier_fp32=("1", 4, 8.0, 0.0, 0.0),
    predict_fp32_v7=("1", 10, 200.0, 0.0, 0.0),
)
AFTER = reading(
    features=("1", 30, 160.0, 3.0, 26.0),
    classifier_fp32_v7=("7", 20, 70.0, 2.0, 11.0),
    classifier_fp32=("1", 4, 8.0, 0.0, 0.0),
    classifier_int8_v7=("7", 15, 3.0, 0.0, 1.0),
    predict_fp32_v7=("1", 20, 300.0, 0.0, 0.0),
)


class Described(TritonStatistics):
    """Statistics of a Triton whose configs are these."""

    def __init__(self, configs: Mapping[str, str]) -> None:
        super().__init__("127.0.0.1:1")
        self._configs = configs

    async def config(self, model: str) -> model_config_pb2.ModelConfig:
        text = self._configs.get(model, "")
        return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_one_request_between_two_readings() -> None:
    done = done_between(works(BEFORE), works(AFTER))
    assert ("classifier_fp32", "1") not in done  # nobody asked it
    assert done["classifier_int8_v7", "7"].count == 15  # it was loaded meanwhile
    work = ensemble_work(PATH, done)
    assert (work.requests, work.ensemble) == (10, 10.0)
    assert work.queues == pytest.approx(2.0 / 20 + 1.0 / 10)
    assert work.features == pytest.approx(3 * 16.0 / 20)
    assert work.classifier == pytest.approx(3 * 6.0 / 10)


def test_a_model_that_did_nothing_took_no_time() -> None:
    work = ensemble_work(PATH, {})
    assert (work.requests, work.ensemble, work.queues) == (0, 0.0, 0.0)
    assert Work().each(1.0) == 0.0


async def test_the_path_is_the_busiest_ensemble_of_names() -> None:
    configs = {"predict_fp32_v7": ENSEMBLE, "predict_fp32": ENSEMBLE, "classifier_fp32": ONE_STEP}
    done = {
        ("features", "1"): Work(count=99),
        ("classifier_fp32", "1"): Work(count=98),
        ("predict_fp32_v7", "1"): Work(count=90),
        ("predict_fp32", "1"): Work(count=8),
        ("classifier_fp32_v7", "7"): Work(count=98),
    }
    async with Described(configs) as statistics:
        assert await statistics.path(done) == PATH


async def test_a_load_without_an_ensemble_is_an_error() -> None:
    async with Described({"classifier_fp32": ONE_STEP}) as statistics:
        with pytest.raises(ServerError, match="no ensemble"):
            await statistics.path({("classifier_fp32", "1"): Work(count=5)})


async def test_nobody_to_ask_is_an_error() -> None:
    (port,) = free_ports(1)
    async with TritonStatistics(f"127.0.0.1:{port}") as statistics:
        with pytest.raises(ServerError, match="statistics"):
            await statistics.read()
        with pytest.raises(ServerError, match="describe features"):
            await statistics.config("features")
