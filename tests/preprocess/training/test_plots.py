"""The plots: drawn, readable, and of the right figures."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from preprocess.training.folder import PLOTS_FOLDER, Holdout, ModelFolder
from preprocess.training.native import Doubles
from preprocess.training.plots import precision_recall, reliability, roc


@pytest.fixture
def tested(trained: ModelFolder) -> tuple[Holdout, Doubles]:
    rows = trained.holdout()
    return rows, trained.native().probabilities(rows.x[rows.is_test])


def legend(figure: Figure) -> list[str]:
    found = figure.axes[0].get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def test_three_pictures_of_a_readable_size(trained: ModelFolder) -> None:
    names = sorted(path.name for path in (trained.path / PLOTS_FOLDER).iterdir())
    assert names == ["calibration.png", "pr.png", "roc.png"]
    for name in names:
        with Image.open(trained.path / PLOTS_FOLDER / name) as image:
            assert min(image.size) >= 700
            assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_each_has_a_title_axes_with_units_and_a_legend(
    trained: ModelFolder, tested: tuple[Holdout, Doubles]
) -> None:
    about, (rows, p) = trained.about, tested
    y = rows.y[rows.is_test]
    figures = [roc(about, y, p), precision_recall(about, y, p), reliability(about)]
    for figure in figures:
        assert f"{about.parts['test'].samples} announcements" in figure.get_suptitle()
        assert any("base rate" in text for text in legend(figure))
        assert any(f"threshold {about.threshold:g}" in text for text in legend(figure))
        assert "(fraction)" in figure.axes[0].get_ylabel()
        assert "(fraction)" in figure.axes[0].get_xlabel()
    assert f"{about.metrics['test'].roc_auc:.3f}" in legend(figures[0])[0]
    assert f"{about.metrics['test'].pr_auc:.3f}" in legend(figures[1])[0]


def test_a_demo_market_is_named_on_the_plot(trained: ModelFolder) -> None:
    assert "demo" not in reliability(trained.about).get_suptitle()
    demo = replace(trained.about, market="demo")
    assert "made-up demo market" in reliability(demo).get_suptitle()
