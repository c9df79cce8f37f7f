-- Tables of the market. Dates are text YYYY-MM-DD, months YYYY-MM. Prices are rupees a share as
-- traded (adjusted = 0) or as the source adjusted them (adjusted = 1); *_cr is crore rupees.

CREATE TABLE stocks (
    bse_code TEXT NOT NULL PRIMARY KEY CHECK (bse_code GLOB '[0-9][0-9][0-9][0-9][0-9][0-9]'),
    nse_symbol TEXT,
    company_name TEXT,
    isin TEXT,
    industry TEXT,
    status TEXT NOT NULL DEFAULT 'active'
) STRICT, WITHOUT ROWID;

-- WITHOUT ROWID: one stock's rows lie side by side, in date order, in the key's own B-tree.
CREATE TABLE price_movements (
    bse_code TEXT NOT NULL CHECK (bse_code GLOB '[0-9][0-9][0-9][0-9][0-9][0-9]'),
    date TEXT NOT NULL CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]'),
    open REAL NOT NULL CHECK (open > 0),
    high REAL NOT NULL CHECK (high > 0),
    low REAL NOT NULL CHECK (low > 0 AND low <= high),
    close REAL NOT NULL CHECK (close > 0),
    volume INTEGER NOT NULL CHECK (volume >= 0),
    prev_close REAL,
    adjusted INTEGER NOT NULL DEFAULT 0 CHECK (adjusted IN (0, 1)),
    PRIMARY KEY (bse_code, date)
) STRICT, WITHOUT ROWID;

CREATE TABLE historical_financials (
    bse_code TEXT NOT NULL,
    fiscal_year INTEGER NOT NULL,
    quarter TEXT NOT NULL CHECK (quarter IN ('Q1', 'Q2', 'Q3', 'Q4')),
    period_end TEXT NOT NULL,
    announced_on TEXT,
    revenue_cr REAL,
    pat_cr REAL,
    operating_profit_cr REAL,
    eps REAL,
    PRIMARY KEY (bse_code, fiscal_year, quarter)
) STRICT, WITHOUT ROWID;

CREATE TABLE corporate_actions (
    bse_code TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('bonus', 'split', 'rights', 'demerger')),
    ratio REAL CHECK (ratio > 0),
    subject TEXT NOT NULL,
    PRIMARY KEY (bse_code, ex_date, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE upper_circuit_labels (
    bse_code TEXT NOT NULL,
    earnings_date TEXT NOT NULL,
    next_day_date TEXT NOT NULL CHECK (next_day_date > earnings_date),
    price_change_pct REAL NOT NULL,
    label INTEGER NOT NULL CHECK (label IN (0, 1)),
    PRIMARY KEY (bse_code, earnings_date)
) STRICT, WITHOUT ROWID;

CREATE TABLE static_features (
    bse_code TEXT NOT NULL,
    month TEXT NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-1][0-9]'),
    sector TEXT,
    sector_code INTEGER,
    market_cap_cr REAL,
    market_cap_tier INTEGER CHECK (market_cap_tier IN (0, 1, 2)),
    PRIMARY KEY (bse_code, month)
) STRICT, WITHOUT ROWID;

CREATE TABLE daily_predictions (
    bse_code TEXT NOT NULL,
    prediction_date TEXT NOT NULL,
    model_version INTEGER NOT NULL,
    predicted_label INTEGER NOT NULL CHECK (predicted_label IN (0, 1)),
    probability REAL NOT NULL CHECK (probability BETWEEN 0 AND 1),
    confidence TEXT NOT NULL CHECK (confidence IN ('HIGH', 'MEDIUM', 'LOW')),
    variant TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (bse_code, prediction_date, model_version)
) STRICT, WITHOUT ROWID;

-- One row for each stock that a transaction touched, written in that transaction: whoever keeps
-- something computed from a stock reads from the last sequence it has seen. `date` is the first
-- day on which an answer may now differ.
CREATE TABLE change_log (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    bse_code TEXT NOT NULL,
    date TEXT NOT NULL
) STRICT;
