"""Does a graph compute what the trained model computes? Asked where the two would differ first."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.models.lightgbm_model import ZERO_THRESHOLD
from preprocess.models.native import Doubles, Float32s, NativeModel

# Rows of one kind. The split points of a depth-6 forest with 255 bins stay below it.
_MOST_ROWS = 20_000
_MIXED_ROWS = 5_000
_SEED = 20_260_814
_BATCH = 4_096

_EDGES = np.array(
    [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        ZERO_THRESHOLD,
        -ZERO_THRESHOLD,
        np.nextafter(ZERO_THRESHOLD, np.float32(1)),
        np.nextafter(-ZERO_THRESHOLD, np.float32(-1)),
        np.finfo(np.float32).tiny,
        np.finfo(np.float32).smallest_subnormal,
        np.finfo(np.float32).max,
        np.finfo(np.float32).min,
    ],
    dtype=np.float32,
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows of one kind: the largest difference of the probabilities, and labels that differ.

    `labels_differ` leaves out rows that lie on the threshold itself, within the tolerance.
    """

    rows: str
    count: int
    largest_difference: float
    labels_differ: int
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the graph may stand in for the model on such rows."""
        return self.largest_difference <= self.tolerance and self.labels_differ == 0


@dataclass(frozen=True, slots=True)
class Verification:
    """A graph against its model, by kind of row."""

    comparisons: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        """Whether the graph may stand in for the model."""
        return all(comparison.passed for comparison in self.comparisons)

    def table(self) -> str:
        """The comparisons as lines of text."""
        head = f"{'rows':34}{'count':>8}{'largest difference':>20}{'labels differ':>15}"
        return "\n".join(
            [head]
            + [
                f"{item.rows:34}{item.count:8,}{item.largest_difference:20.2e}"
                f"{item.labels_differ:15,}{'' if item.passed else '  <-- refused'}"
                for item in self.comparisons
            ]
        )

    def to_json(self) -> bytes:
        """The comparisons as an indented JSON document."""
        document = {
            "passed": self.passed,
            "comparisons": [asdict(item) for item in self.comparisons],
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def verify(
    graph: onnx.ModelProto, native: NativeModel, *, holdout: Float32s, threshold: float
) -> Verification:
    """Compare the two on hold-out rows and on rows that are made to find a difference.

    These are rows on each split point and one float32 step to either side, rows that consist of
    split points, infinities, zeros and numbers that count as zero, and rows with features missing.
    The row without any feature must give NaN and nothing else.
    """
    session = _session(graph)
    return Verification(
        tuple(
            _compare(session, native, rows, x, threshold)
            for rows, x in probes(native.split_points(), holdout)
        )
    )


def graph_probabilities(graph: onnx.ModelProto, x: Float32s) -> Doubles:
    """What ONNX Runtime computes on one thread: probabilities [n] for features [n, 25]."""
    return _answers(_session(graph), x)


def _compare(
    session: onnxruntime.InferenceSession,
    native: NativeModel,
    rows: str,
    x: Float32s,
    threshold: float,
) -> Comparison:
    expected = native.probabilities(x)
    expected[np.isnan(x).all(axis=1)] = np.nan
    found = _answers(session, x)
    difference = np.abs(found - expected)
    both_nan = np.isnan(found) & np.isnan(expected)
    difference = np.where(both_nan, 0.0, np.nan_to_num(difference, nan=np.inf))
    on_threshold = np.abs(expected - threshold) <= native.tolerance
    differs = ((found >= threshold) != (expected >= threshold)) & ~on_threshold
    largest = float(difference.max(initial=0.0))
    return Comparison(rows, len(x), largest, int(differs.sum()), native.tolerance)


def _session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _answers(session: onnxruntime.InferenceSession, x: Float32s) -> Doubles:
    parts = [
        session.run(["probability"], {"features": x[start : start + _BATCH]})[0][:, 0]
        for start in range(0, len(x), _BATCH)
    ]
    return np.concatenate([np.empty(0), *parts], dtype=np.float64)


def probes(points: list[Doubles], holdout: Float32s) -> Iterator[tuple[str, Float32s]]:
    """The rows to compare on, each kind with its name; `points` are split points by feature."""
    random = np.random.default_rng(_SEED)
    steps = [_with_neighbours(of_feature) for of_feature in points]
    yield "hold-out", holdout
    yield "on a split point or beside it", _single(steps, holdout, random)
    yield "of split points and edge values", _mixed(steps, holdout, random)
    yield "with features missing", _missing(holdout)


def _with_neighbours(points: Doubles) -> Float32s:
    with np.errstate(over="ignore"):
        nearest = points.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    above = np.nextafter(nearest, np.float32(np.inf))
    steps: Float32s = np.unique(np.concatenate([below, nearest, above]))
    return steps


def _single(steps: list[Float32s], holdout: Float32s, random: np.random.Generator) -> Float32s:
    features = np.repeat(np.arange(FEATURE_COUNT), [len(values) for values in steps])
    values = np.concatenate(steps)
    chosen = _some(len(values), random)
    x: Float32s = holdout[random.integers(0, len(holdout), len(chosen))]
    x[np.arange(len(chosen)), features[chosen]] = values[chosen]
    return x


def _some(count: int, random: np.random.Generator) -> NDArray[np.int64]:
    if count <= _MOST_ROWS:
        return np.arange(count)
    return random.choice(count, _MOST_ROWS, replace=False)


def _mixed(steps: list[Float32s], holdout: Float32s, random: np.random.Generator) -> Float32s:
    columns = []
    for feature, values in enumerate(steps):
        seen = holdout[random.integers(0, len(holdout), 64), feature]
        pool = np.concatenate([values, seen])
        column = random.choice(pool, _MIXED_ROWS)
        edges = random.random(_MIXED_ROWS) < 0.1
        column[edges] = random.choice(_EDGES, int(edges.sum()))
        columns.append(column)
    return np.stack(columns, axis=1)


def _missing(holdout: Float32s) -> Float32s:
    alone = np.full((FEATURE_COUNT + 1, FEATURE_COUNT), np.nan, dtype=np.float32)
    full = holdout[np.argsort(np.isnan(holdout).sum(axis=1), kind="stable")[: FEATURE_COUNT + 1]]
    dropped = np.resize(full, alone.shape).copy()
    for feature in range(FEATURE_COUNT):
        alone[feature, feature] = dropped[feature, feature]
        dropped[feature, feature] = np.nan
    return np.concatenate([alone, dropped])
