-- The integer that stands for a sector; rows are only added.
CREATE TABLE sectors (
    name TEXT NOT NULL PRIMARY KEY,
    code INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO sectors SELECT sector, min(sector_code) FROM static_features
WHERE sector IS NOT NULL AND sector_code IS NOT NULL GROUP BY sector;

-- The day on whose number of shares EPS is stated; NULL: the day on which it was known. What there
-- is was imported from tables, whose sources restate it.
ALTER TABLE historical_financials ADD COLUMN eps_as_of TEXT;
UPDATE historical_financials SET eps_as_of = date('now') WHERE eps IS NOT NULL;

-- Results as they were known before they were restated.
CREATE TABLE earlier_results (
    bse_code TEXT NOT NULL,
    fiscal_year INTEGER NOT NULL,
    quarter TEXT NOT NULL,
    announced_on TEXT NOT NULL,
    period_end TEXT NOT NULL,
    revenue_cr REAL,
    pat_cr REAL,
    operating_profit_cr REAL,
    eps REAL,
    eps_as_of TEXT,
    PRIMARY KEY (bse_code, fiscal_year, quarter, announced_on)
) STRICT, WITHOUT ROWID;

CREATE VIEW result_states AS
SELECT bse_code, fiscal_year, quarter, period_end, announced_on, revenue_cr, pat_cr,
       operating_profit_cr, eps, eps_as_of FROM historical_financials
UNION ALL
SELECT bse_code, fiscal_year, quarter, period_end, announced_on, revenue_cr, pat_cr,
       operating_profit_cr, eps, eps_as_of FROM earlier_results;
