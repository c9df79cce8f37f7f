"""Versions change under load, and no caller notices. The benchmark `swaps` does it 100 times."""

import json

import pytest

from preprocess.repository.labels import read_labels
from preprocess.settings import Settings
from tests.performance.quick import assert_shape, run_quick

pytestmark = [pytest.mark.triton, pytest.mark.serial]


def test_every_answer_is_that_of_the_version_that_it_names(demo_market: Settings) -> None:
    settings = demo_market
    served = read_labels(settings.versions_dir)
    quick = run_quick(settings, "swaps")
    assert_shape(quick, {"swap_requests", "swap_failed", "swap_wrong", "swap_worst"})
    rows = {metric: row["value"] for metric, row in quick.rows.items()}
    assert rows["swap_failed"] == 0, quick.output
    assert rows["swap_wrong"] == 0, quick.output
    assert rows["swap_requests"] > 500
    assert (rows["swap_activates"], rows["swap_rollbacks"], rows["swap_canaries"]) == (5, 1, 1)
    versions = settings.home / "bench" / "swaps" / "versions"
    labels = json.loads((versions / "labels.json").read_text())
    assert (labels["stable"], labels["previous"]) == (5, 6)  # five swaps after version 1, one back
    assert labels["newest"] == 6
    assert read_labels(settings.versions_dir) == served  # it has swapped in a folder of its own
