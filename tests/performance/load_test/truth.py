"""What was answered, held against what the model says without any server."""

from collections.abc import Sequence

from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from tests.performance.load_test.generator import Outcome
from tests.performance.load_test.mix import Pair
from tests.performance.open_loop import Answer, Request
from tests.performance.version_answers import VersionAnswers


def wrong_answers(settings: Settings, outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """How many questions were looked at, and to how many a wrong probability was answered."""
    extremes: dict[Pair, set[float]] = {}
    for outcome in outcomes:
        for pair, answered in outcome.seen.items():
            extremes.setdefault(pair, set()).update((answered.least, answered.greatest))
    requests = [Request(*pair) for pair in extremes]
    model_id = stable_version(settings.versions_dir).model_id
    expected = VersionAnswers(settings, requests, {model_id})

    def is_right(request: Request) -> bool:
        answered = extremes[request.bse_code, request.prediction_date]
        return all(
            expected.is_right(Answer(request, 0.0, 0.0, 200, probability=one), model_id)
            for one in answered
        )

    return len(requests), sum(not is_right(request) for request in requests)
