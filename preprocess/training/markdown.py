"""The model card as a readable page."""

from collections.abc import Iterable, Sequence

from preprocess.training.card import FAMILY_NAMES, ModelCard, PartName, Scores

FIGURES = (
    ("ROC-AUC", "roc_auc"),
    ("standard error of ROC-AUC", "roc_auc_error"),
    ("PR-AUC (average precision)", "pr_auc"),
    ("log loss", "log_loss"),
    ("Brier score", "brier"),
    ("calibration error", "calibration_error"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("F1", "f1"),
)
COUNTS = (
    ("true positives", "true_positives"),
    ("false positives", "false_positives"),
    ("false negatives", "false_negatives"),
    ("true negatives", "true_negatives"),
)
MODEL = "model"


def render(card: ModelCard) -> str:
    """The card as Markdown; every figure comes from the JSON, rounded to four decimals."""
    sections = (
        _head(card),
        _data(card),
        *(_figures(card, part) for part in ("test", "validation")),
        _calibration(card),
        _features(card),
        _limits(card),
        _making(card),
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def score_rows(card: ModelCard, part: PartName) -> list[tuple[str, list[str]]]:
    """The scores of a part: the name of each, and its value for the model and every baseline."""
    columns = [card.metrics[part], *card.baselines[part].values()]
    return [(name, [f"{getattr(scores, key):.4f}" for scores in columns]) for name, key in FIGURES]


def predictors(card: ModelCard, part: PartName) -> list[str]:
    """The columns of `score_rows`."""
    return [MODEL, *card.baselines[part]]


def _head(card: ModelCard) -> list[str]:
    lines = [f"# Model {card.model_id}", ""]
    if card.market == "demo":
        lines += [f"**{card.limits[0]}**", ""]
    return [
        *lines,
        f"Made by {FAMILY_NAMES[card.family]}, trained {card.trained_at}. It gives the "
        f"probability that `{card.label.name}` is 1, which means: {card.label.meaning}.",
        "",
        f"A circuit is predicted at probabilities of **{card.threshold!r}** and above: the "
        f"threshold with {card.threshold_rule}.",
    ]


def _data(card: ModelCard) -> list[str]:
    rows = (
        (
            name,
            str(part.first_day),
            str(part.last_day),
            f"{part.samples}",
            f"{part.positives}",
            f"{part.positive_share:.4f}",
        )
        for name, part in card.parts.items()
    )
    skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(card.skipped.items()))
    return [
        "## Data",
        "",
        *_table(("part", "first day", "last day", "samples", "positive", "share"), rows),
        "",
        "Split by date of announcement. "
        f"{card.embargoed} samples are in no part, because their outcome was not yet known when "
        f"the next part begins. Announcements without features: {skipped or 'none'}.",
    ]


def _figures(card: ModelCard, part: PartName) -> list[str]:
    columns: list[Scores] = [card.metrics[part], *card.baselines[part].values()]
    counts = ((name, *(f"{getattr(scores, key)}" for scores in columns)) for name, key in COUNTS)
    rows = [(name, *values) for name, values in score_rows(card, part)]
    lines = [
        f"## On the {part} part",
        "",
        *_table(("", *predictors(card, part)), [*rows, *counts]),
    ]
    if part == "test":
        lines += [""] + [f"- *{name}*: {rule}." for name, rule in card.baseline_rules.items()]
        lines += ["", "![ROC](plots/roc.png)", "", "![Precision and recall](plots/pr.png)"]
    return lines


def _calibration(card: ModelCard) -> list[str]:
    rows = (
        (
            f"{item.lowest:.4f} to {item.highest:.4f}",
            f"{item.samples}",
            f"{item.mean_probability:.4f}",
            f"{item.positive_share:.4f}",
        )
        for item in card.calibration
    )
    return [
        "## Calibration on the test part",
        "",
        *_table(("probability", "samples", "mean probability", "share that came true"), rows),
        "",
        "![Calibration](plots/calibration.png)",
    ]


def _features(card: ModelCard) -> list[str]:
    rows = (
        (f"{index}", f"`{name}`", f"{card.gain[name]:.4f}")
        for index, name in enumerate(card.features, start=1)
    )
    codes = sorted(card.sector_codes.items(), key=lambda item: item[1])
    return [
        "## Features",
        "",
        f"Hash of the list: `{card.feature_hash}`. A missing value is NaN.",
        "",
        *_table(("#", "feature", "share of total gain"), rows),
        "",
        "Sector codes: " + (", ".join(f"{code} {name}" for name, code in codes) or "none") + ".",
    ]


def _limits(card: ModelCard) -> list[str]:
    return ["## Limits", "", *(f"- {limit}" for limit in card.limits)]


def _making(card: ModelCard) -> list[str]:
    return [
        "## How it was made",
        "",
        *_table(("parameter", "value"), _pairs(card.parameters.items())),
        "",
        *_table(("file", "SHA-256"), _pairs(card.hashes.items())),
        "",
        *_table(("library", "version"), _pairs(card.versions.items())),
    ]


def _pairs(items: Iterable[tuple[str, object]]) -> list[tuple[str, str]]:
    return [(name, f"`{value}`") for name, value in items]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
