"""The model card as a readable page."""

from collections.abc import Iterable, Sequence

from preprocess.training.card import FAMILY_NAMES, ModelCard, PartName

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
    ("true positives", "true_positives"),
    ("false positives", "false_positives"),
    ("false negatives", "false_negatives"),
    ("true negatives", "true_negatives"),
)


def score_rows(card: ModelCard, part: PartName) -> list[tuple[str, ...]]:
    """The scores of a part: the name of each, and its value for the model and every baseline."""
    columns = [card.metrics[part], *card.baselines[part].values()]
    return [(name, *(_cell(getattr(scores, key)) for scores in columns)) for name, key in FIGURES]


def predictors(card: ModelCard, part: PartName) -> list[str]:
    """The columns of `score_rows`."""
    return ["model", *card.baselines[part]]


def render(card: ModelCard) -> str:
    """The card as Markdown; every figure comes from the JSON, rounded to four decimals."""
    parts = [
        (name, part.first_day, part.last_day, part.samples, part.positives, part.positive_share)
        for name, part in card.parts.items()
    ]
    skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(card.skipped.items()))
    bins = [
        (
            f"{item.lowest:.4f} to {item.highest:.4f}",
            item.samples,
            item.mean_probability,
            item.positive_share,
        )
        for item in card.calibration
    ]
    gains = [(i, f"`{name}`", card.gain[name]) for i, name in enumerate(card.features, start=1)]
    sectors = ", ".join(f"{code} {name}" for name, code in card.sector_codes.items())
    return "\n\n".join(
        [
            f"# Model {card.model_id}",
            *([f"**{card.limits[0]}**"] if card.market == "demo" else []),
            f"Made by {FAMILY_NAMES[card.family]}, trained {card.trained_at}. It gives the "
            f"probability that `{card.label.name}` is 1, which means: {card.label.meaning}.",
            f"It is predicted at probabilities of **{card.threshold!r}** and above: the "
            f"threshold with {card.threshold_rule}.",
            "## Data",
            _table(("part", "first day", "last day", "samples", "positive", "share"), parts),
            f"Split by date of announcement. {card.embargoed} samples are in no part, because "
            "their outcome was not yet known when the next part begins. Announcements without "
            f"features: {skipped or 'none'}.",
            "## On the test part",
            _table(("", *predictors(card, "test")), score_rows(card, "test")),
            "\n".join(f"- *{name}*: {rule}." for name, rule in card.baseline_rules.items()),
            "![ROC](plots/roc.png)",
            "![Precision and recall](plots/pr.png)",
            "## On the validation part",
            _table(("", *predictors(card, "validation")), score_rows(card, "validation")),
            "## Calibration on the test part",
            _table(("probability", "samples", "mean probability", "share that came true"), bins),
            "![Calibration](plots/calibration.png)",
            "## Features",
            f"Hash of the list: `{card.feature_hash}`. A missing value is NaN.",
            _table(("#", "feature", "share of total gain"), gains),
            f"Sector codes: {sectors or 'none'}.",
            "## Limits",
            "\n".join(f"- {limit}" for limit in card.limits),
            "## How it was made",
            _table(("parameter", "value"), [(k, f"`{v}`") for k, v in card.parameters.items()]),
            _table(("file", "SHA-256"), card.hashes.items()),
            _table(("library", "version"), card.versions.items()) + "\n",
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value}"
