"""The comparisons of a row, made once: a table of thresholds beside the features."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.predicates import Predicates
from preprocess.forest.trees import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTable:
    """Predicates as a table: a line for each feature and way of NaN, its thresholds ascending.

    `source` int32 [V]: the column of the features with NaN replaced and then of those as they are
    that a line compares. `thresholds` float32 [V, K], filled up with infinity. `column` int32 [M]:
    where each predicate's answer stands among the V * K.
    """

    source: Ints
    thresholds: Floats
    column: Ints
    n_features: int

    @property
    def size(self) -> int:
        """Answers of one row."""
        return self.thresholds.size


def answer_table(predicates: Predicates, n_features: int) -> AnswerTable:
    """Lay the predicates out; without any, one that nobody asks stands in the table."""
    if not len(predicates):
        zero, nothing = np.zeros(1, dtype=np.int32), np.full((1, 1), np.inf, dtype=np.float32)
        return AnswerTable(zero, nothing, zero, n_features)
    source = predicates.feature + np.where(predicates.nan_left, n_features, 0)
    lines, line, count = np.unique(source, return_inverse=True, return_counts=True)
    place = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    thresholds = np.full((len(lines), int(count.max())), np.inf, dtype=np.float32)
    thresholds[line, place] = predicates.threshold
    column = line * thresholds.shape[1] + place
    return AnswerTable(lines.astype(np.int32), thresholds, column.astype(np.int32), n_features)


def answer(writer: GraphWriter, features: str, table: AnswerTable) -> str:
    """The answers uint8 [N, V * K]: 1 where the row goes right.

    A comparison with NaN is false, which is left. Where NaN goes right it is made infinite first.
    """
    replaced = bool((table.source < table.n_features).any())
    kept = bool((table.source >= table.n_features).any())
    sources = [features] if kept else []
    if replaced:
        infinite = writer.constant("infinity", np.array(np.inf, dtype=np.float32))
        missing = writer.add("IsNaN", [features])
        sources.insert(0, writer.add("Where", [missing, infinite, features]))
    values = writer.add("Concat", sources, axis=1) if len(sources) == 2 else sources[0]
    column = table.source if replaced else table.source - table.n_features
    if not np.array_equal(column, np.arange(len(sources) * table.n_features)):
        values = writer.add("Gather", [values, writer.constant("lines", column)], axis=1)
    values = writer.add("Unsqueeze", [values, writer.integers(2)])
    right = writer.add(
        "GreaterOrEqual", [values, writer.constant("thresholds", table.thresholds)]
    )
    right = writer.add("Cast", [right], to=TensorProto.UINT8)
    return writer.add("Reshape", [right, writer.integers(-1, table.size)])
