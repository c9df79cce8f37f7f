"""The card: complete, true, and the same on the page as in the JSON."""

import json
from dataclasses import replace

import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.market.calendar import from_day_number
from preprocess.training.card import ModelCard, PartName
from preprocess.training.dataset import Dataset
from preprocess.training.describe import library_versions
from preprocess.training.evaluation import BASE_RATE, TRIVIAL_RULE
from preprocess.training.folder import CARD_FILE, CARD_TEXT_FILE, ModelFolder
from preprocess.training.markdown import FIGURES, render
from preprocess.training.split import split_by_time
from tests.preprocess.training.samples import dataset


def test_figures_are_those_of_the_model_on_that_part(trained: ModelFolder) -> None:
    split, about = split_by_time(dataset()), trained.about
    parts: dict[PartName, Dataset] = {"validation": split.validation, "test": split.test}
    for name, part in parts.items():
        p = trained.native().probabilities(part.x)
        found = about.metrics[name]
        assert found.roc_auc == pytest.approx(roc_auc_score(part.y, p))
        assert found.pr_auc == pytest.approx(average_precision_score(part.y, p))
        assert found.f1 == pytest.approx(f1_score(part.y, p >= about.threshold))
        assert about.baselines[name].keys() == {BASE_RATE, TRIVIAL_RULE}
        assert about.baselines[name][BASE_RATE].precision == pytest.approx(part.y.mean())
    assert sum(item.samples for item in about.calibration) == len(split.test)


def test_parts_gain_and_identity(trained: ModelFolder) -> None:
    samples, about = dataset(), trained.about
    split = split_by_time(samples)
    assert about.embargoed == split.embargoed > 0
    assert about.skipped == samples.skipped
    for name, part in split.parts().items():
        told = about.parts[name]
        assert (told.samples, told.positives) == (len(part), part.positives)
        assert told.positive_share == pytest.approx(part.y.mean())
        assert told.first_day == from_day_number(part.days[0])
        assert told.last_day == from_day_number(part.days[-1])
    assert about.features == FEATURE_NAMES
    assert about.feature_hash == feature_hash()
    assert list(about.gain) == list(FEATURE_NAMES)
    assert sum(about.gain.values()) == pytest.approx(1.0)
    gain = trained.native().gain()
    assert list(about.gain.values()) == pytest.approx((gain / gain.sum()).tolist())
    assert max(about.gain, key=lambda name: about.gain[name]) in {"momentum_5d", "bb_percent_b"}
    assert about.hashes["data set"] == samples.sha256()
    assert about.trained_at == "2026-08-14T12:30:15+00:00"
    assert about.versions == library_versions()
    assert (about.label.name, about.label.circuit_pct) == ("up_5pct", 5.0)
    assert "5 %" in about.label.meaning


def test_what_older_cards_call_upper_circuit_is_a_rise_by_a_percentage(
    trained: ModelFolder,
) -> None:
    document = json.loads(trained.about.to_json())
    document["label"]["name"] = "upper_circuit"
    assert ModelCard.from_json(json.dumps(document).encode()) == trained.about
    document["label"]["circuit_pct"] = None
    card = ModelCard.from_json(json.dumps(document).encode())
    assert card.label.name == "upper_circuit"


def test_json_round_trip(trained: ModelFolder) -> None:
    written = (trained.path / CARD_FILE).read_bytes()
    assert ModelCard.from_json(written) == trained.about
    assert trained.about.to_json() == written
    assert json.loads(written) == json.loads(json.dumps(trained.card))
    assert b"NaN" not in written


def test_every_figure_on_the_page_is_the_json_s(trained: ModelFolder) -> None:
    text = (trained.path / CARD_TEXT_FILE).read_text(encoding="utf-8")
    document = json.loads((trained.path / CARD_FILE).read_bytes())
    for part in ("validation", "test"):
        section = text.split(f"## On the {part} part")[1].split("\n## ")[0]
        rows = table(section)
        columns = [document["metrics"][part], *document["baselines"][part].values()]
        for name, key in FIGURES:
            values = [column[key] for column in columns]
            assert rows[name] == [f"{x:.4f}" if isinstance(x, float) else str(x) for x in values]
    data = table(text.split("## Data")[1].split("\n## ")[0])
    for name, told in document["parts"].items():
        assert data[name][:4] == [
            told["first_day"],
            told["last_day"],
            str(told["samples"]),
            str(told["positives"]),
        ]
    gains = table(text.split("## Features")[1].split("\n## ")[0])
    for place, name in enumerate(FEATURE_NAMES, start=1):
        assert gains[str(place)] == [f"`{name}`", f"{document['gain'][name]:.4f}"]


def test_a_demo_model_says_so_first(trained: ModelFolder) -> None:
    assert "made-up" not in render(trained.about)
    warned = replace(trained.about, market="demo", limits=("A made-up market.",))
    assert render(warned).splitlines()[2] == "**A made-up market.**"


def table(text: str) -> dict[str, list[str]]:
    """First cell to the others, over every row of every table in `text`."""
    rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    )
    return {row[0]: row[1:] for row in rows}
