-- One row for each labelled announcement: what was known on that day, and what came of it. Derived
-- from the tables of the market, by stock, from the change log (preprocess/store/sqlite_samples.py).
CREATE TABLE announcement_samples (
    bse_code TEXT NOT NULL,
    earnings_date TEXT NOT NULL,
    price_date TEXT,
    close REAL,
    volume INTEGER,
    fiscal_year INTEGER,
    quarter TEXT,
    known_on TEXT,
    revenue_cr REAL,
    pat_cr REAL,
    operating_profit_cr REAL,
    eps REAL,
    next_day_date TEXT NOT NULL,
    price_change_pct REAL NOT NULL,
    label INTEGER NOT NULL,
    PRIMARY KEY (bse_code, earnings_date)
) STRICT, WITHOUT ROWID;

-- The change-log entry up to which a derived table holds the market.
CREATE TABLE derived_marks (
    name TEXT NOT NULL PRIMARY KEY,
    sequence INTEGER NOT NULL,
    token TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO derived_marks VALUES ('announcement_samples', 0, '');
