"""Rows and the table of `tezi bench inference`, from what the contenders took and answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from preprocess.models.native import Doubles
from tests.performance.contender import Contender
from tests.performance.report_grid import Grid
from tests.performance.report_text import figure
from tests.performance.row import Row

# Who takes part, as the table names them.
PICKLE, FP32, INT8 = "pickle", "fp32", "int8"
LLEAVES, LIGHTGBM_FP32, LIGHTGBM_INT8 = "lleaves", "fp32 of LightGBM", "int8 of LightGBM"
XGBOOST, LIGHTGBM = (PICKLE, FP32, INT8), (LLEAVES, LIGHTGBM_FP32, LIGHTGBM_INT8)

LARGEST = 11_000

_GPU = "no NVIDIA GPU was used: tests/gpu/run_gpu_variant.py measures it on a machine that has one"


@dataclass(frozen=True)
class Goals:
    """Ratios to reach with forests of one size; None where there is no goal."""

    int8_size: float
    int8_to_fp32: float
    fp32_to_pickle: float = 5.0
    int8_to_pickle: float = 12.0
    int8_to_lleaves: float = 1.0


@dataclass(frozen=True)
class Both:
    """Probabilities of the same rows: the trained model's and INT8's."""

    native: Doubles
    int8: Doubles


@dataclass(frozen=True)
class Judged:
    """INT8 against the trained model: F1 on labelled rows, and the share of equal labels."""

    f1: float
    int8_f1: float
    labels_equal: float
    rows: int

    @classmethod
    def of(
        cls,
        y: NDArray[np.int8],
        labelled: Both,
        measured: Both,
        threshold: float,
    ) -> "Judged":
        """From labels `y` [n] and probabilities of their rows, and those of the measured rows."""
        equal = (measured.native >= threshold) == (measured.int8 >= threshold)
        return cls(
            f1=float(f1_score(y, labelled.native >= threshold)),
            int8_f1=float(f1_score(y, labelled.int8 >= threshold)),
            labels_equal=float(np.mean(equal)),
            rows=len(equal),
        )


@dataclass
class SizeRows:
    """The rows of one size of forest, whose metrics end in `_suffix`, and the times behind them."""

    suffix: str
    found: Mapping[str, Contender]
    rows: list[Row] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, judged: Judged, goals: Goals) -> None:
        """Every row that there is of this size."""
        self._size(goals.int8_size)
        self._ratio("fp32_b1_vs_pickle", (FP32, PICKLE), 1, goals.fp32_to_pickle)
        for rows in (1, 100, LARGEST):
            metric = f"int8_b{rows}_vs_fp32"
            self._ratio(metric, (INT8, FP32), rows, goals.int8_to_fp32)
        self._ratio("int8_b1_vs_pickle", (INT8, PICKLE), 1, goals.int8_to_pickle)
        self._judged(judged)
        for rows in (1, 100, LARGEST):
            metric = f"int8_b{rows}_vs_lleaves"
            self._ratio(metric, (LIGHTGBM_INT8, LLEAVES), rows, goals.int8_to_lleaves)
        self._gpu()

    def _ratio(self, metric: str, pair: tuple[str, str], rows: int, goal: float) -> None:
        mine, other = (self.found[name] for name in pair)
        metric = f"{metric}_{self.suffix}"
        self.samples[metric] = mine.ms(rows)
        self.rows.append(
            Row(
                metric,
                mine.median_ms(rows),
                "ms",
                other.median_ms(rows),
                note=f"{mine.name} against {other.name}, {rows:,} {'rows' if rows > 1 else 'row'}",
                goal_ratio=goal,
            )
        )

    def _size(self, goal: float) -> None:
        fp32, int8, pickle = (self.found[name].size_mb for name in (FP32, INT8, PICKLE))
        note = f"the graphs' files; the pickle has {figure(pickle)} MB"
        self.rows.append(
            Row(f"size_int8_{self.suffix}", int8, "MB", fp32, note=note, goal_ratio=goal)
        )

    def _judged(self, judged: Judged) -> None:
        loss = max(1.0 - judged.int8_f1 / judged.f1, 0.0)
        f1 = f"F1 {judged.int8_f1:.4f} against the trained model's {judged.f1:.4f}, test part"
        self.rows += [
            Row(f"int8_f1_loss_{self.suffix}", loss, "relative", goal=0.001, note=f1),
            Row(
                f"int8_labels_equal_{self.suffix}",
                judged.labels_equal,
                "of the rows",
                goal=0.9995,
                note=f"{judged.rows:,} measured rows, against the pickle",
            ),
        ]

    def _gpu(self) -> None:
        fp32 = self.found[FP32].median_ms(LARGEST)
        note = f"{_GPU}; fp32 on one thread of this machine: {figure(fp32)} ms"
        metric = f"gpu_b{LARGEST}_vs_cpu_{self.suffix}"
        self.rows.append(Row(metric, None, "ms", note=note, goal_ratio=10.0))


def variants_grids(trees: int, found: Mapping[str, Contender]) -> list[Grid]:
    """Size, latency of one row, and rows a second by rows of a call, one contender a line."""
    return [
        _grid(f"{trees:,} trees, {family}", {label: found[label] for label in labels})
        for family, labels in (("XGBoost", XGBOOST), ("LightGBM", LIGHTGBM))
    ]


def _grid(title: str, contenders: Mapping[str, Contender]) -> Grid:
    sizes = [size for size in next(iter(contenders.values())).plan.calls if size > 1]
    heads = ["variant", "MB", "p50", "p95", "p99", *(f"{size:,}" for size in sizes)]
    lines = [
        [
            label.partition(" ")[0],
            figure(contender.size_mb),
            *(figure(float(q)) for q in np.percentile(contender.ms(1), (50, 95, 99))),
            *(f"{size * 1e3 / contender.median_ms(size):,.0f}" for size in sizes),
        ]
        for label, contender in contenders.items()
    ]
    if PICKLE in contenders:
        lines.append(["gpu: not measured", *[""] * (len(heads) - 1)])
    return Grid(f"{title}: MB, ms of one row, rows/s by rows a call", heads, lines)
