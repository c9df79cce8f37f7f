"""Versions change under load, and nobody notices. `tezi bench swaps` does it a hundred times."""

import json
import shutil
from pathlib import Path

import pytest

from preprocess.settings import Settings
from tests.integration.stack import fresh_settings
from tests.performance.quick import assert_shape, run_quick

pytestmark = pytest.mark.triton


@pytest.fixture
def settings(demo_market: Settings, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    shutil.copytree(demo_market.home, home, ignore=shutil.ignore_patterns("logs", "*.lock"))
    return fresh_settings(home)


def test_every_answer_is_that_of_the_version_that_it_names(settings: Settings) -> None:
    quick = run_quick(settings, "swaps")
    assert_shape(quick, {"swap_requests", "swap_failed", "swap_wrong", "swap_worst"})
    rows = {metric: row["value"] for metric, row in quick.rows.items()}
    assert rows["swap_failed"] == 0, quick.output
    assert rows["swap_wrong"] == 0, quick.output
    assert rows["swap_requests"] > 500
    assert (rows["swap_activates"], rows["swap_rollbacks"], rows["swap_canarys"]) == (5, 1, 1)
    labels = json.loads((settings.versions_dir / "labels.json").read_text())
    assert (labels["stable"], labels["previous"]) == (5, 6)  # five swaps after version 1, one back
    assert labels["newest"] == 6
