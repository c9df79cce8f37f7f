"""The chance in prices."""

import numpy as np

from preprocess.demo.noise import VOLUME_DEVIATION, VOLUME_MEMORY, draw_noise


def test_volume_remembers_the_day_before() -> None:
    volume = draw_noise(np.random.default_rng(1), 50, 400, 3).volume
    late = volume[:, 50:]
    assert abs(np.corrcoef(late[:, 1:].ravel(), late[:, :-1].ravel())[0, 1] - VOLUME_MEMORY) < 0.03
    assert np.isclose(late.std(), VOLUME_DEVIATION / np.sqrt(1 - VOLUME_MEMORY**2), rtol=0.05)


def test_shapes_and_signs() -> None:
    noise = draw_noise(np.random.default_rng(1), 5, 40, 3)
    for name in ("move", "overnight", "above", "below", "volume", "quiet"):
        assert getattr(noise, name).shape == (5, 40)
    for name in ("attention", "verdict", "size"):
        assert getattr(noise, name).shape == (5, 3)
    for name in ("above", "below", "attention", "size"):
        assert (getattr(noise, name) >= 0.0).all()
