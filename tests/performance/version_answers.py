"""What each model must answer to each request, computed without any server."""

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from preprocess.market.golden_row import PROBABILITY_TOLERANCE
from preprocess.serving.service import FeatureService
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.performance.open_loop import Answer, Request

# So far apart must two models be on a row for it to tell which of them answered.
_APART = 100 * PROBABILITY_TOLERANCE


class VersionAnswers:
    """Probabilities by model, variant and request; a graph sums in an order of its own a batch,
    so an answer may be off by a rounding, and two models are told apart by far more."""

    def __init__(
        self, settings: Settings, requests: Sequence[Request], model_ids: Collection[str]
    ) -> None:
        """Keeps those of `requests` on which any two of the models differ."""
        service = FeatureService(lambda: open_store(settings))
        features = service.rows(
            [request.bse_code.encode() for request in requests],
            [request.prediction_date.encode() for request in requests],
        ).values
        service.close()
        self._expected: dict[tuple[str, Request], float] = {}
        kept: list[Request] = []
        for variant in sorted({request.variant for request in requests}):
            places = [at for at, request in enumerate(requests) if request.variant == variant]
            found = {
                model_id: _probabilities(settings, model_id, variant, features[places])
                for model_id in model_ids
            }
            differ = np.ones(len(places), dtype=bool)
            for one, other in combinations(found.values(), 2):
                differ &= np.abs(one - other) > _APART
            for row in np.flatnonzero(differ):
                request = requests[places[row]]
                kept.append(request)
                for model_id, probabilities in found.items():
                    self._expected[model_id, request] = float(probabilities[row])
        known = set(kept)
        self.requests = [request for request in requests if request in known]

    def is_right(self, answer: Answer, model_id: str) -> bool:
        """Whether the answer is what the model says."""
        expected = self._expected[model_id, answer.request]
        return (
            answer.probability is not None
            and abs(answer.probability - expected) <= PROBABILITY_TOLERANCE
        )


def _probabilities(
    settings: Settings, model_id: str, variant: str, features: NDArray[np.float32]
) -> NDArray[np.float64]:
    graph = settings.models_dir / model_id / f"model_{variant}.onnx"
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probability"], {"features": features})
    return np.asarray(found[:, 0], dtype=np.float64)
