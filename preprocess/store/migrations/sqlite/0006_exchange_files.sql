-- A band holds on the session after `date`, the day of the exchange's file. NULL: no band.
CREATE TABLE price_bands (
    bse_code TEXT NOT NULL,
    date TEXT NOT NULL CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]'),
    band REAL CHECK (band > 0),
    source TEXT NOT NULL,
    PRIMARY KEY (bse_code, date)
) STRICT, WITHOUT ROWID;

-- Every filing of a quarter's results as it was made, revisions included. historical_financials
-- holds what follows from them. `filed_at` is a day, or a day and time in Mumbai.
CREATE TABLE filings (
    bse_code TEXT NOT NULL,
    period_end TEXT NOT NULL,
    basis TEXT NOT NULL CHECK (basis IN ('consolidated', 'standalone', '')),
    filed_at TEXT NOT NULL,
    revenue_cr REAL,
    pat_cr REAL,
    operating_profit_cr REAL,
    eps REAL,
    PRIMARY KEY (bse_code, period_end, basis, filed_at)
) STRICT, WITHOUT ROWID;
