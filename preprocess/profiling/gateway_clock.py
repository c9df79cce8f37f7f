"""How long a gateway has waited for Triton, by its own metrics."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from preprocess.errors import ServerError

PREDICTOR_SECONDS = "predictor_request_duration_seconds"
"""The gateway's histogram of requests to Triton."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Requests to Triton that were answered, and the ms that the gateway waited for them."""

    count: int
    ms: float

    def mean_since(self, before: "Waits") -> float:
        """The mean wait in ms after `before`.

        Raises:
            ServerError: Triton was not asked at all.
        """
        if self.count == before.count:
            raise ServerError("The gateway has asked Triton nothing: is it the right gateway?")
        return (self.ms - before.ms) / (self.count - before.count)


def read_waits(exposition: str) -> Waits:
    """The waits that a gateway's /metrics tells of."""
    count = seconds = 0.0
    for family in text_string_to_metric_families(exposition):
        if family.name == PREDICTOR_SECONDS:
            for sample in family.samples:
                if sample.name.endswith("_count"):
                    count += sample.value
                elif sample.name.endswith("_sum"):
                    seconds += sample.value
    return Waits(int(count), seconds * 1e3)
