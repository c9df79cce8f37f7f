"""An outcome second by second."""

from dataclasses import dataclass

import numpy as np

from preprocess.market import Floats
from tests.performance.load_test.generator import Outcome


@dataclass(frozen=True)
class Seconds:
    """For each second in which requests were due: how many, latencies in ms, failures."""

    second: Floats
    requests: Floats
    p50: Floats
    p95: Floats
    p99: Floats
    worst: Floats
    failures: Floats

    @classmethod
    def of(cls, outcome: Outcome) -> "Seconds":
        """Grouped by the second in which a request was due."""
        whole = np.floor(outcome.due_s).astype(int)
        known, begins = np.unique(whole, return_index=True)
        latencies = np.split(outcome.latency_ms, begins[1:])
        failures = np.split(outcome.failed, begins[1:])
        quantiles = np.array([np.percentile(part, (50, 95, 99, 100)) for part in latencies])
        p50, p95, p99, worst = quantiles.T
        return cls(
            known.astype(np.float64),
            np.array([len(part) for part in latencies], dtype=np.float64),
            p50,
            p95,
            p99,
            worst,
            np.array([part.sum() for part in failures], dtype=np.float64),
        )

    def recovery_s(self, top_s: float, bound_ms: float) -> float:
        """From the top of a load until answers are within a bound, and stay so.

        The end of the last second after `top_s` with a failure or a p95 above the bound, counted
        from `top_s`; 0 if there was none.
        """
        bad = (self.p95 > bound_ms) | (self.failures > 0)
        after = self.second[bad & (self.second >= np.floor(top_s))]
        return float(after[-1] + 1 - top_s) if len(after) else 0.0
