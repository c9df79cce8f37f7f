"""Plots of a trained model: ROC, precision and recall, calibration."""

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from preprocess.training.card import FAMILY_NAMES, ModelCard, Scores
from preprocess.training.evaluation import BASE_RATE, TRIVIAL_RULE
from preprocess.training.native import Doubles

Corner = Literal["upper left", "upper right", "lower right"]

_DPI = 130
_BLUE, _ORANGE, _GREY, _GREEN = "#1f5fa8", "#d9731a", "#7a7a7a", "#2e8b57"


def draw_plots(card: ModelCard, y: NDArray[np.int8], probabilities: Doubles, folder: Path) -> None:
    """Write roc.png, pr.png and calibration.png, for the test part, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("roc", roc(card, y, probabilities)),
        ("pr", precision_recall(card, y, probabilities)),
        ("calibration", reliability(card)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=_DPI)


def roc(card: ModelCard, y: NDArray[np.int8], probabilities: Doubles) -> Figure:
    """The receiver operating characteristic on the test part."""
    figure, axes = _figure(card, "ROC curve")
    scores, rule = card.metrics["test"], card.baselines["test"][TRIVIAL_RULE]
    false_positive_rate, true_positive_rate, _ = roc_curve(y, probabilities)
    area = f"model, area {scores.roc_auc:.3f} ± {1.96 * scores.roc_auc_error:.3f} (95 %)"
    axes.plot(false_positive_rate, true_positive_rate, color=_BLUE, label=area)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="base rate, area 0.500")
    _point(axes, _fall_out(scores), scores.recall, f"threshold {card.threshold:g}")
    _point(axes, _fall_out(rule), rule.recall, "trivial rule")
    _finish(axes, "false positive rate (fraction)", "true positive rate (fraction)", "lower right")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return figure


def precision_recall(card: ModelCard, y: NDArray[np.int8], probabilities: Doubles) -> Figure:
    """Precision against recall on the test part."""
    figure, axes = _figure(card, "Precision and recall")
    scores, rule = card.metrics["test"], card.baselines["test"][TRIVIAL_RULE]
    share = scores.positives / scores.samples
    precision, recall, _ = precision_recall_curve(y, probabilities)
    average = f"model, average precision {scores.pr_auc:.3f}"
    axes.step(recall, precision, where="post", color=_BLUE, label=average)
    axes.axhline(share, color=_GREY, linestyle="--", label=f"base rate {share:.3f}")
    _point(axes, scores.recall, scores.precision, f"threshold {card.threshold:g}")
    _point(axes, rule.recall, rule.precision, "trivial rule")
    _finish(axes, "recall (fraction)", "precision (fraction)", "upper right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return figure


def reliability(card: ModelCard) -> Figure:
    """Predicted against observed shares, in bins of equal count."""
    figure, axes = _figure(card, "Calibration")
    predicted = [item.mean_probability for item in card.calibration]
    observed = [item.positive_share for item in card.calibration]
    limit = min(1.0, 1.15 * max(*predicted, *observed, card.threshold))
    axes.plot(predicted, observed, "o-", color=_BLUE, label="model")
    axes.plot([0, limit], [0, limit], color=_GREY, linestyle="--", label="perfect")
    share = card.baselines["test"][BASE_RATE].precision
    axes.axhline(share, color=_ORANGE, linestyle=":", label=f"base rate {share:.3f}")
    axes.axvline(card.threshold, color=_GREEN, linewidth=1, label=f"threshold {card.threshold:g}")
    _finish(axes, "mean probability (fraction)", "share that came true (fraction)", "upper left")
    axes.set(xlim=(0, limit), ylim=(0, limit))
    return figure


def _figure(card: ModelCard, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    made_up = ", made-up demo market" if card.market == "demo" else ""
    test = card.parts["test"]
    span = f"test part, {test.first_day} to {test.last_day}, {test.samples} announcements"
    figure.suptitle(f"{title}: {FAMILY_NAMES[card.family]}{made_up}\n{span}", fontsize=11)
    return figure, figure.subplots()


def _point(axes: Axes, x: float, y: float, label: str) -> None:
    axes.plot([x], [y], "o", markersize=8, label=label)


def _finish(axes: Axes, x: str, y: str, legend: Corner) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc=legend, fontsize=9)


def _fall_out(scores: Scores) -> float:
    negatives = scores.false_positives + scores.true_negatives
    return scores.false_positives / negatives
