"""What Triton's statistics say of the models that a load went through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from preprocess.errors import ServerError

_TIMEOUT_S = 10.0
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Work:
    """What one version of a model has done: requests that succeeded, and ms in all of them."""

    count: int = 0
    success: float = 0.0
    queue: float = 0.0
    compute: float = 0.0

    def since(self, before: "Work") -> "Work":
        """What was done after `before`."""
        return Work(
            self.count - before.count,
            self.success - before.success,
            self.queue - before.queue,
            self.compute - before.compute,
        )

    def each(self, ms: float) -> float:
        """One request's share of a time."""
        return ms / self.count if self.count else 0.0


Key = tuple[str, str]
"""A model's name and version."""


@dataclass(frozen=True, slots=True)
class Path:
    """The way of a load through Triton: the ensemble that was asked, and its two steps."""

    ensemble: str
    features: str
    classifier: str
    classifier_version: str


@dataclass(frozen=True, slots=True)
class EnsembleWork:
    """Means in ms of one request of an ensemble, by Triton's clocks."""

    requests: int
    ensemble: float
    queues: float
    features: float
    classifier: float


class TritonStatistics:
    """Asks a running Triton. `async with`, then any of the calls."""

    def __init__(self, address: str) -> None:
        """`address` is host:port of Triton's gRPC service."""
        self._client = InferenceServerClient(address)

    async def __aenter__(self) -> "TritonStatistics":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def read(self) -> Mapping[Key, Work]:
        """What every model has done since it was loaded.

        Raises:
            ServerError: Triton does not answer.
        """
        try:
            answer = await self._client.get_inference_statistics(client_timeout=_TIMEOUT_S)
        except (InferenceServerException, grpc.RpcError) as error:
            raise ServerError(f"Triton does not give its statistics: {error}") from None
        return works(answer)

    async def config(self, model: str) -> model_config_pb2.ModelConfig:
        """The config of a loaded model.

        Raises:
            ServerError: Triton does not answer, or has no such model.
        """
        try:
            answer = await self._client.get_model_config(model, client_timeout=_TIMEOUT_S)
        except (InferenceServerException, grpc.RpcError) as error:
            raise ServerError(f"Triton does not describe {model}: {error}") from None
        return answer.config

    async def path(self, done: Mapping[Key, Work]) -> Path:
        """The way that a load took, which is what most was asked of since.

        Raises:
            ServerError: nothing was asked of an ensemble that turns names into probabilities.
        """
        for name, _ in sorted(done, key=lambda key: -done[key].count):
            config = await self.config(name)
            steps = config.ensemble_scheduling.step
            first = [step for step in steps if "bse_code" in step.input_map]
            last = [step for step in steps if "probability" in step.output_map]
            if first and last:
                classifier = last[0].model_name
                return Path(name, first[0].model_name, classifier, _busiest(classifier, done))
        raise ServerError("The load went through no ensemble of features and a classifier.")


def works(answer: service_pb2.ModelStatisticsResponse) -> Mapping[Key, Work]:
    """The statistics of every model and version."""
    found: dict[Key, Work] = {}
    for model in answer.model_stats:
        stats = model.inference_stats
        compute: Sequence[Any] = (stats.compute_input, stats.compute_infer, stats.compute_output)
        found[model.name, model.version] = Work(
            count=stats.success.count,
            success=stats.success.ns / _NS_PER_MS,
            queue=stats.queue.ns / _NS_PER_MS,
            compute=sum(part.ns for part in compute) / _NS_PER_MS,
        )
    return found


def done_between(before: Mapping[Key, Work], after: Mapping[Key, Work]) -> Mapping[Key, Work]:
    """What was done between two readings, by the models that did something."""
    done = {key: work.since(before.get(key, Work())) for key, work in after.items()}
    return {key: work for key, work in done.items() if work.count > 0}


def ensemble_work(path: Path, done: Mapping[Key, Work]) -> EnsembleWork:
    """One request's means along a path."""
    ensemble = _of(path.ensemble, done)
    features, classifier = _of(path.features, done), _of(path.classifier, done)
    return EnsembleWork(
        requests=ensemble.count,
        ensemble=ensemble.each(ensemble.success),
        queues=features.each(features.queue) + classifier.each(classifier.queue),
        features=features.each(features.compute),
        classifier=classifier.each(classifier.compute),
    )


def _of(model: str, done: Mapping[Key, Work]) -> Work:
    return done.get((model, _busiest(model, done)), Work())


def _busiest(model: str, done: Mapping[Key, Work]) -> str:
    versions = {version: work.count for (name, version), work in done.items() if name == model}
    return max(versions, key=lambda version: versions[version], default="1")
