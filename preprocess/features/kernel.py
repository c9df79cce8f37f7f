"""The served features of many stocks and days in one compiled pass over their columns.

RSI, MACD and the Bollinger bands equal TA-Lib's values over the stock's whole history; the tests
compare every feature with a plain definition to 1e-9. One loop over a stock's rows computes RSI and
the three averages of MACD together, where TA-Lib would write whole series of which only the last
value is needed.

Sources of the recurrences: Wilder (1978) for RSI, seeded by the plain averages of the first 14
changes; TA-Lib's MACD, whose averages are seeded by the means of the 12 and of the 26 rows up to
row 26, and the signal by the mean of the first nine values of the line.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from preprocess.features.financial import SURPRISE_PCT
from preprocess.features.row import MINIMUM_ROWS

Array = NDArray[Any]

OK, SHORT_HISTORY = 0, 1

# All periods are rows, that is trading days of the stock.
RSI_PERIOD = 14
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9
BAND_PERIOD, BAND_DEVIATIONS = 20, 2.0
VOLUME_PERIOD, VOLUME_SPIKE = 30, 2.0
MOMENTUM_PERIODS = (5, 10, 30)
LEAD_ROWS, BASE_ROWS = 5, 15
# A band narrower than this share of its mean has no width: it would be rounding noise.
FLAT_BAND = 1e-9

_LARGEST = float(np.finfo(np.float32).max)
_NAN = math.nan

_KEPT, _ADDED = (RSI_PERIOD - 1.0) / RSI_PERIOD, 1.0 / RSI_PERIOD
_FAST, _SLOW, _SIGNAL = (2.0 / (n + 1.0) for n in (MACD_FAST, MACD_SLOW, MACD_SIGNAL))
# First row whose signal follows from the row before; the rows before it are summed for the seed.
_SIGNALLED = MACD_SLOW + MACD_SIGNAL - 1


@njit(cache=True, nogil=True)
def _technical(close: Array, volume: Array, begin: int, out: Array) -> None:
    """Features 1 to 13 at the last row of one stock's adjusted series of MINIMUM_ROWS or more.

    Closes count from row `begin`, that of the newest demerger: those before compare with none.
    """
    n = len(close)
    comparable = n - begin
    out[:10] = _NAN
    if comparable >= MINIMUM_ROWS:
        _oscillators(close[begin:], out)
    if comparable >= BAND_PERIOD:
        _bands(close[n - BAND_PERIOD :], out[4:8])
    if n > VOLUME_PERIOD:
        mean = _mean(volume[n - 1 - VOLUME_PERIOD : n - 1])
        if mean > 0.0:
            out[8] = volume[n - 1] / mean
            out[9] = 1.0 if out[8] > VOLUME_SPIKE else 0.0
    last = close[n - 1]
    for index, rows in enumerate(MOMENTUM_PERIODS):
        enough = comparable > rows
        out[10 + index] = (last / close[n - 1 - rows] - 1.0) * 100.0 if enough else _NAN


@njit(cache=True, nogil=True)
def _oscillators(close: Array, out: Array) -> None:
    """RSI and MACD, which need every row: in one loop the CPU overlaps their steps."""
    gain = loss = signal = line = 0.0
    for row in range(1, RSI_PERIOD + 1):
        change = close[row] - close[row - 1]
        gain += max(change, 0.0)
        loss += max(-change, 0.0)
    gain /= RSI_PERIOD
    loss /= RSI_PERIOD
    for row in range(RSI_PERIOD + 1, MACD_SLOW):
        change = close[row] - close[row - 1]
        gain = gain * _KEPT + max(change, 0.0) * _ADDED
        loss = loss * _KEPT + max(-change, 0.0) * _ADDED
    fast = _mean(close[MACD_SLOW - MACD_FAST : MACD_SLOW])
    slow = _mean(close[:MACD_SLOW])
    signal = fast - slow
    for row in range(MACD_SLOW, len(close)):
        price = close[row]
        change = price - close[row - 1]
        gain = gain * _KEPT + max(change, 0.0) * _ADDED
        loss = loss * _KEPT + max(-change, 0.0) * _ADDED
        # In this form a constant price leaves the average exactly as it is.
        fast += (price - fast) * _FAST
        slow += (price - slow) * _SLOW
        line = fast - slow
        if row >= _SIGNALLED:
            signal += (line - signal) * _SIGNAL
        else:
            signal += line
            if row == _SIGNALLED - 1:
                signal /= MACD_SIGNAL
    moved = gain + loss
    # 0 is TA-Lib's value where the price never moved; any earlier movement, however small, counts.
    out[0] = 100.0 * (gain / moved) if moved > 0.0 else 0.0
    out[1], out[2], out[3] = line, signal, line - signal


@njit(cache=True, nogil=True)
def _bands(window: Array, out: Array) -> None:
    """Upper, middle and lower band of the last rows, and the position of the close between them."""
    middle = _mean(window)
    spread = 0.0
    for value in window:
        spread += (value - middle) * (value - middle)
    deviation = math.sqrt(spread / len(window))
    upper, lower = middle + deviation * BAND_DEVIATIONS, middle - deviation * BAND_DEVIATIONS
    out[0], out[1], out[2] = upper, middle, lower
    flat = upper <= lower or deviation <= FLAT_BAND * middle
    out[3] = 0.5 if flat else (window[-1] - lower) / (upper - lower)


@njit(cache=True, nogil=True)
def _mean(values: Array) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@njit(cache=True, nogil=True)
def _growth(now: float, before: float) -> float:
    return (now - before) / before * 100.0 if before > 0.0 else _NAN


@njit(cache=True, nogil=True)
def _signed_growth(now: float, before: float) -> float:
    return (now - before) / abs(before) * 100.0 if before != 0.0 else _NAN


@njit(cache=True, nogil=True)
def _margin(part: float, revenue: float) -> float:
    return part / revenue * 100.0 if revenue > 0.0 else _NAN


@njit(cache=True, nogil=True)
def _financial(results: tuple[Array, ...], first: int, last: int, day: int, out: Array) -> None:
    """Features 14 to 19 from the rows `first` to `last` of the results."""
    quarter, known_on, revenue, pat, operating_profit, eps = results
    newest = -1
    for row in range(first, last):
        # Of a quarter's states the last that was known, which comes last.
        if known_on[row] <= day and (newest < 0 or quarter[row] >= quarter[newest]):
            newest = row
    out[:] = _NAN
    if newest < 0:
        return
    turned = False
    for row in range(first, last):
        if known_on[row] <= day and quarter[row] == quarter[newest] - 4:
            out[0] = _growth(revenue[newest], revenue[row])
            out[1] = _signed_growth(pat[newest], pat[row])
            out[4] = _signed_growth(eps[newest], eps[row])
            turned = pat[row] < 0.0 < pat[newest]
    out[2] = _margin(operating_profit[newest], revenue[newest])
    out[3] = _margin(pat[newest], revenue[newest])
    if not (math.isnan(out[0]) and math.isnan(out[1])):
        out[5] = 1.0 if turned or out[0] > SURPRISE_PCT or out[1] > SURPRISE_PCT else 0.0


@njit(cache=True, nogil=True)
def _event(opening: float, close: Array, volume: Array, has_row: bool, out: Array) -> None:
    """Features 20 to 22; `opening` is that of the last row."""
    out[:] = _NAN
    last = len(close) - 1
    before = last if has_row else last + 1
    rows = LEAD_ROWS + BASE_ROWS
    if has_row:
        out[0] = (close[last] - opening) / opening * 100.0
    if before < rows:
        return
    if has_row:
        mean = _mean(volume[before - rows : before])
        if mean > 0.0:
            out[1] = volume[last] / mean
    base = _mean(volume[before - rows : before - LEAD_ROWS])
    if base > 0.0:
        out[2] = _mean(volume[before - LEAD_ROWS : before]) / base


@njit(cache=True, nogil=True)
def fiscal_quarter(day: int) -> int:
    """Fiscal quarter, 1 to 4, of a day number.

    The month by counting years from 1 March (Hinnant, chrono-compatible low-level date
    algorithms): 0 is March, so that April to June, the first quarter, are 1 to 3.
    """
    of_era = (day + 719_468) % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return (month + 11) % 12 // 3 + 1


@njit(cache=True, nogil=True)
def _circuit_rate(
    labels: tuple[Array, ...], first: int, last: int, day: int, three_years_before: int
) -> float:
    earnings_day, next_day, label, _, _ = labels
    quarter = fiscal_quarter(day)
    positive = counted = 0
    for row in range(first, last):
        announced = earnings_day[row]
        if (
            three_years_before <= announced < day
            and next_day[row] <= day
            and fiscal_quarter(announced) == quarter
        ):
            counted += 1
            positive += label[row]
    return positive / counted if counted else _NAN


@njit(cache=True, nogil=True)
def _static(statics: tuple[Array, ...], first: int, last: int, month: int, out: Array) -> None:
    """Features 24 and 25 from the newest stamp up to `month`."""
    stamped, sector_code, market_cap_tier = statics
    newest = -1
    for row in range(first, last):
        if stamped[row] <= month and (newest < 0 or stamped[row] > stamped[newest]):
            newest = row
    out[0] = sector_code[newest] if newest >= 0 else _NAN
    out[1] = market_cap_tier[newest] if newest >= 0 else _NAN


@njit(cache=True, nogil=True)
def _adjust(  # noqa: PLR0917 - compiled functions take columns, and no keywords
    days: Array, already: Array, ex_day: Array, ratio: Array, close: Array, volume: Array
) -> None:
    """Divide closes and multiply volumes, in place, by the ratios with a later ex-date."""
    for row in range(len(days)):
        if already[row]:
            continue
        factor = 1.0
        for action in range(len(ex_day)):
            if days[row] < ex_day[action] and not math.isnan(ratio[action]):
                factor *= ratio[action]
        close[row] /= factor
        volume[row] *= factor


@njit(cache=True, nogil=True)
def feature_rows(  # noqa: PLR0917 - as above
    stocks: Array,
    days: Array,
    months: Array,
    three_years_before: Array,
    starts: tuple[Array, ...],
    prices: tuple[Array, ...],
    results: tuple[Array, ...],
    actions: tuple[Array, ...],
    labels: tuple[Array, ...],
    statics: tuple[Array, ...],
    values: Array,
    as_of: Array,
    status: Array,
) -> None:
    """Row k is stock `stocks[k]` as of day number `days[k]`; fills `values` [k, 25] and the rest.

    `months` and `three_years_before` are the month number of each day and the day number three
    years earlier. `starts` are the tables' offsets and the other tuples their columns, in the
    order of preprocess.market.columns.SCHEMA. A row with SHORT_HISTORY gets NaN and as_of -1.
    """
    day_of, opening, close_of, volume_of, already = prices
    ex_day, ratio = actions
    of_prices, of_results, of_actions, of_labels, of_statics = starts
    for k in range(len(stocks)):
        stock, day = stocks[k], days[k]
        first = of_prices[stock]
        last = first + np.searchsorted(day_of[first : of_prices[stock + 1]], day, side="right")
        out = values[k]
        if last - first < MINIMUM_ROWS:
            out[:] = _NAN
            as_of[k] = -1
            status[k] = SHORT_HISTORY
            continue
        close, volume = close_of[first:last], volume_of[first:last]
        a, b = of_actions[stock], of_actions[stock + 1]
        while b > a and ex_day[b - 1] > day:
            b -= 1
        if b > a and ex_day[b - 1] > day_of[first]:
            close, volume = close.copy(), volume.copy()
            _adjust(day_of[first:last], already[first:last], ex_day[a:b], ratio[a:b], close, volume)
        begin = 0
        for action in range(a, b):
            if math.isnan(ratio[action]):
                begin = np.searchsorted(day_of[first:last], ex_day[action])
        _technical(close, volume, begin, out)
        _financial(results, of_results[stock], of_results[stock + 1], day, out[13:19])
        _event(opening[last - 1], close, volume, day_of[last - 1] == day, out[19:22])
        out[22] = _circuit_rate(
            labels, of_labels[stock], of_labels[stock + 1], day, three_years_before[k]
        )
        _static(statics, of_statics[stock], of_statics[stock + 1], months[k], out[23:25])
        for index in range(len(out)):
            if abs(out[index]) > _LARGEST:
                out[index] = _NAN
        as_of[k] = day_of[last - 1]
        status[k] = OK
