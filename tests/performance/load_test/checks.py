"""Whether an answer is right, and not only whether its status is 200."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from tests.performance.load_test.mix import Call
from tests.performance.pairs import Pair

_OK = 200
# So many pairs are remembered; the whole market as of one day is less than that.
_REMEMBERED = 20_000


class _Prediction(msgspec.Struct):
    bse_code: str
    prediction_date: str
    predicted_label: int | None
    probability: float | None
    model_version: int | None


_one = msgspec.json.Decoder(_Prediction)
_many = msgspec.json.Decoder(list[_Prediction])


@dataclass
class Checks:
    """Checks answers; `thresholds` are those of the model versions.

    `seen` remembers the least and the greatest probability that was answered to a question.
    """

    thresholds: Mapping[int, float]
    seen: dict[Pair, tuple[float, float]] = field(default_factory=dict)

    def finding(self, call: Call, status: int, body: bytes) -> str:
        """What is wrong with an answer; empty if nothing is."""
        if status != _OK:
            return f"status {status}"
        try:
            answers = _many.decode(body) if call.is_batch else [_one.decode(body)]
        except msgspec.DecodeError as error:
            return f"no prediction: {error}"
        if len(answers) != len(call.pairs):
            return f"{len(call.pairs)} stocks were requested, and {len(answers)} answered"
        for pair, answer in zip(call.pairs, answers, strict=True):
            finding = self._of_one(pair, answer)
            if finding:
                return finding
        return ""

    def _of_one(self, pair: Pair, answer: _Prediction) -> str:
        if (answer.bse_code, answer.prediction_date) != pair:
            return "another stock or day was answered than requested"
        probability, version = answer.probability, answer.model_version
        if probability is None or version is None:
            return "no probability"
        if not 0.0 <= probability <= 1.0:
            return "a probability beyond 0 and 1"
        threshold = self.thresholds.get(version)
        if threshold is None:
            return f"model version {version} was not published"
        if answer.predicted_label != int(probability >= threshold):
            return "a label that does not fit probability and threshold"
        least, greatest = self.seen.get(pair, (probability, probability))
        if pair in self.seen or len(self.seen) < _REMEMBERED:
            self.seen[pair] = min(least, probability), max(greatest, probability)
        return ""
