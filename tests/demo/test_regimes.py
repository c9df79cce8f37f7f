"""Market regimes and the factors that stocks share."""

import numpy as np

from preprocess.demo.regimes import (
    BEAR,
    BULL,
    LONGEST_REGIME_DAYS,
    REGIMES,
    SECTOR_VOLATILITY,
    SHORTEST_REGIME_DAYS,
    draw_factors,
    fat_tailed,
    regime_path,
)


def test_phases_last_30_to_90_days_and_all_regimes_occur() -> None:
    path = regime_path(np.random.default_rng(1), 5000)
    changes = np.flatnonzero(np.diff(path)) + 1
    lengths = np.diff(changes)
    assert lengths.min() >= SHORTEST_REGIME_DAYS
    assert lengths.max() <= LONGEST_REGIME_DAYS
    assert set(path.tolist()) == set(range(len(REGIMES)))


def test_market_follows_its_regime() -> None:
    seed, days = 3, 50_000
    factors = draw_factors(np.random.default_rng(seed), 2, days)
    path = regime_path(np.random.default_rng(seed), days)
    for place, regime in enumerate(REGIMES):
        returns = factors.market[path == place]
        assert abs(returns.mean() - regime.drift) < 0.0003
        assert abs(returns.std() / regime.volatility - 1.0) < 0.05
    assert np.allclose(factors.agitation[path == REGIMES.index(BULL)], 1.0)
    assert (factors.agitation[path == REGIMES.index(BEAR)] > 1.2).all()


def test_sectors_move_on_their_own() -> None:
    sectors = draw_factors(np.random.default_rng(4), 3, 20_000).sectors
    assert np.allclose(sectors.std(axis=1), SECTOR_VOLATILITY, rtol=0.1)
    assert abs(np.corrcoef(sectors)[0, 1]) < 0.05


def test_moves_have_fat_tails_and_unit_variance() -> None:
    draws = fat_tailed(np.random.default_rng(5), (200_000,))
    assert abs(draws.std() - 1.0) < 0.03
    assert (np.abs(draws) > 4.0).mean() > 10 * 6.3e-5  # of a normal distribution
