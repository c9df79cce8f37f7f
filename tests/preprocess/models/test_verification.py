"""The comparison finds every kind of difference, and only those."""

import numpy as np

from preprocess.models.verification import (
    Comparison,
    Verification,
    probes,
)


def test_a_label_that_differs_refuses() -> None:
    good = Comparison("a", 10, 1e-7, 0, 1e-6)
    assert good.passed
    assert not Comparison("b", 10, 1e-7, 1, 1e-6).passed
    assert not Comparison("c", 10, 1.1e-6, 0, 1e-6).passed
    assert Comparison("d", 10, 1e-7, 0, 1e-6, labels_equal=0.9995, least_equal=0.9995).passed
    assert not Comparison("e", 10, 1e-7, 0, 1e-6, labels_equal=0.9994, least_equal=0.9995).passed
    verification = Verification((good, Comparison("b", 10, 1e-7, 1, 1e-6)))
    good_line, bad_line = verification.table().splitlines()[1:]
    assert "refused" in bad_line
    assert "refused" not in good_line


def test_probes_hold_every_split_point_and_both_neighbours() -> None:
    largest = np.finfo(np.float32).max
    points = [np.array(of, dtype=np.float32) for of in ([0.1, 2.5], *[[]] * 23, [largest])]
    holdout = np.zeros((3, 25), dtype=np.float32)
    holdout[1, 4] = np.nan
    found = dict(probes(points, holdout))
    on_points = found["on or next to a split point"]
    for point in points[0]:
        for value in (point, np.nextafter(point, np.float32(0)), np.nextafter(point, np.inf)):
            assert value.astype(np.float32) in on_points[:, 0]
    assert largest in on_points[:, 24]
    missing = np.isnan(found["with features missing"]).sum(axis=1)
    assert {0, 1, 24, 25} <= set(missing.tolist())
    mixed = found["of split points and edge values"]
    assert np.isinf(mixed).any()
    assert np.isnan(mixed).any()
    assert found["hold-out"] is holdout


def test_probes_of_a_huge_forest_stay_bounded() -> None:
    points = [np.linspace(0, 1, 2000, dtype=np.float32)] * 25
    found = dict(probes(points, np.zeros((3, 25), dtype=np.float32)))
    assert len(found["on or next to a split point"]) == 20_000


def test_a_small_hold_out_part_is_made_up_to_ten_thousand_rows() -> None:
    random, half = np.random.default_rng(1), [np.array([0.5], dtype=np.float32)] * 25
    holdout = random.normal(size=(50, 25)).astype(np.float32)
    found = dict(probes(half, holdout))
    exchanged = found["hold-out, features exchanged"]
    assert len(exchanged) == 9_950
    for feature in range(25):
        assert np.isin(exchanged[:, feature], holdout[:, feature]).all()
    real = {row.tobytes() for row in holdout}
    assert sum(row.tobytes() in real for row in exchanged) < 100
    enough = np.zeros((10_000, 25), dtype=np.float32)
    assert "hold-out, features exchanged" not in dict(probes(half, enough))
