"""Plots of a trained model: ROC, precision and recall, calibration, gain."""

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from preprocess.models.card import FAMILY_NAMES, ModelCard, Scores
from preprocess.models.native import Doubles
from preprocess.training.baselines import BASE_RATE, TRIVIAL_RULE

Place = Literal["upper left", "upper right", "lower right"]

_DPI = 130
_BLUE, _ORANGE, _GREY, _GREEN = "#1f5fa8", "#d9731a", "#7a7a7a", "#2e8b57"


def draw_plots(card: ModelCard, y: NDArray[np.int8], probabilities: Doubles, folder: Path) -> None:
    """Write roc.png, pr.png, calibration.png and gain.png, of the test part, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("roc", roc(card, y, probabilities)),
        ("pr", precision_recall(card, y, probabilities)),
        ("calibration", reliability(card, probabilities)),
        ("gain", gain(card)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=_DPI)


def roc(card: ModelCard, y: NDArray[np.int8], probabilities: Doubles) -> Figure:
    """The receiver operating characteristic on the test part."""
    figure, axes = _figure(card, "ROC curve")
    scores, rule = card.metrics["test"], card.baselines["test"][TRIVIAL_RULE]
    false_positive_rate, true_positive_rate, _ = roc_curve(y, probabilities)
    error = 1.96 * scores.roc_auc_error
    axes.plot(
        false_positive_rate,
        true_positive_rate,
        color=_BLUE,
        label=f"model, area {scores.roc_auc:.3f} ± {error:.3f} (95 %)",
    )
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="base rate, area 0.500")
    _point(axes, (_fall_out(scores), scores.recall), _BLUE, f"threshold {card.threshold:g}")
    _point(axes, (_fall_out(rule), rule.recall), _ORANGE, "trivial rule", marker="s")
    _finish(axes, "false positive rate (fraction)", "true positive rate (fraction)", "lower right")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return figure


def precision_recall(card: ModelCard, y: NDArray[np.int8], probabilities: Doubles) -> Figure:
    """Precision against recall on the test part."""
    figure, axes = _figure(card, "Precision and recall")
    scores, rule = card.metrics["test"], card.baselines["test"][TRIVIAL_RULE]
    share = scores.positives / scores.samples
    precision, recall, _ = precision_recall_curve(y, probabilities)
    axes.step(
        recall,
        precision,
        where="post",
        color=_BLUE,
        label=f"model, average precision {scores.pr_auc:.3f}",
    )
    axes.axhline(share, color=_GREY, linestyle="--", label=f"base rate {share:.3f}")
    _point(axes, (scores.recall, scores.precision), _BLUE, f"threshold {card.threshold:g}")
    _point(axes, (rule.recall, rule.precision), _ORANGE, "trivial rule", marker="s")
    _finish(axes, "recall (fraction)", "precision (fraction)", "upper right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return figure


def reliability(card: ModelCard, probabilities: Doubles) -> Figure:
    """What was said against what came, with the spread of the probabilities below."""
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    _title(figure, card, "Calibration")
    said = np.array([item.mean_probability for item in card.calibration])
    came = np.array([item.positive_share for item in card.calibration])
    counts = np.array([item.samples for item in card.calibration])
    limit = min(1.0, 1.15 * max(said.max(), came.max(), float(probabilities.max())))
    axes.errorbar(
        said,
        came,
        yerr=_wilson(came, counts),
        fmt="o-",
        color=_BLUE,
        capsize=3,
        label="bins of equal count, with 95 % interval",
    )
    axes.plot([0, limit], [0, limit], color=_GREY, linestyle="--", label="perfect")
    share = card.baselines["test"][BASE_RATE].precision
    axes.axhline(share, color=_ORANGE, linestyle=":", label=f"base rate {share:.3f}")
    axes.axvline(card.threshold, color=_GREEN, linewidth=1, label=f"threshold {card.threshold:g}")
    _finish(axes, "", "share that came true (fraction)", "upper left")
    axes.set(xlim=(0, limit), ylim=(0, max(limit, float(came.max()) * 1.1)))
    below.hist(probabilities, bins=40, range=(0, limit), color=_BLUE)
    below.axvline(card.threshold, color=_GREEN, linewidth=1)
    below.set(xlabel="predicted probability (fraction)", ylabel="samples")
    return figure


def gain(card: ModelCard) -> Figure:
    """Each feature's share of the gain of all splits."""
    figure, axes = _figure(card, "Share of the gain of all splits", size=(6.8, 6.8), part=None)
    ordered = sorted(card.gain.items(), key=lambda item: item[1])
    names, shares = zip(*ordered, strict=True)
    bars = axes.barh(names, [100.0 * share for share in shares], color=_BLUE)
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set(xlabel="share of total gain (percent)")
    axes.margins(x=0.08, y=0.01)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _figure(
    card: ModelCard,
    title: str,
    *,
    size: tuple[float, float] = (6.4, 5.6),
    part: str | None = "test",
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _title(figure, card, title, part=part)
    return figure, axes


def _title(figure: Figure, card: ModelCard, title: str, *, part: str | None = "test") -> None:
    made_up = ", made-up demo market" if card.market == "demo" else ""
    span = ""
    if part == "test":
        test = card.parts["test"]
        span = f"\ntest part, {test.first_day} to {test.last_day}, {test.samples} announcements"
    figure.suptitle(f"{title}: {FAMILY_NAMES[card.family]}{made_up}{span}", fontsize=11)


def _point(
    axes: Axes, place: tuple[float, float], color: str, label: str, *, marker: str = "o"
) -> None:
    axes.plot(
        [place[0]],
        [place[1]],
        marker,
        color=color,
        markersize=8,
        markeredgecolor="white",
        label=label,
    )


def _finish(axes: Axes, x: str, y: str, place: Place) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc=place, fontsize=9, framealpha=0.9, edgecolor="none")


def _wilson(share: Doubles, counts: NDArray[np.int64]) -> Doubles:
    """Distances down and up, [2, n], to the ends of Wilson's 95 % interval of a share."""
    z = 1.96
    centre = (share + z**2 / (2 * counts)) / (1 + z**2 / counts)
    spread = share * (1 - share) / counts + z**2 / (4 * counts**2)
    half = z * np.sqrt(spread) / (1 + z**2 / counts)
    # Rounding may put an end beyond the share itself by a last bit.
    ends: Doubles = np.maximum(np.stack([share - centre + half, centre + half - share]), 0.0)
    return ends


def _fall_out(scores: Scores) -> float:
    negatives = scores.false_positives + scores.true_negatives
    return scores.false_positives / negatives
