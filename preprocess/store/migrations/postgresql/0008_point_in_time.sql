-- The integer that stands for a sector; rows are only added.
CREATE TABLE sectors (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    code integer NOT NULL
);

INSERT INTO sectors SELECT sector, min(sector_code) FROM static_features
WHERE sector IS NOT NULL AND sector_code IS NOT NULL GROUP BY sector;

-- The day on whose number of shares EPS is stated; NULL: the day on which it was known. What there
-- is was imported from tables, whose sources restate it.
ALTER TABLE historical_financials ADD COLUMN eps_as_of date;
UPDATE historical_financials SET eps_as_of = CURRENT_DATE WHERE eps IS NOT NULL;

-- Results as they were known before they were restated.
CREATE TABLE earlier_results (
    bse_code text COLLATE "C" NOT NULL,
    fiscal_year integer NOT NULL,
    quarter text NOT NULL,
    announced_on date NOT NULL,
    period_end date NOT NULL,
    revenue_cr double precision,
    pat_cr double precision,
    operating_profit_cr double precision,
    eps double precision,
    eps_as_of date,
    PRIMARY KEY (bse_code, fiscal_year, quarter, announced_on)
);

CREATE VIEW result_states AS
SELECT bse_code, fiscal_year, quarter, period_end, announced_on, revenue_cr, pat_cr,
       operating_profit_cr, eps, eps_as_of FROM historical_financials
UNION ALL
SELECT bse_code, fiscal_year, quarter, period_end, announced_on, revenue_cr, pat_cr,
       operating_profit_cr, eps, eps_as_of FROM earlier_results;

-- As before, with the state of the newest quarter that was known.
DROP MATERIALIZED VIEW announcement_samples;
CREATE MATERIALIZED VIEW announcement_samples AS
SELECT l.bse_code, l.earnings_date, p.date AS price_date, p.close, p.volume,
       f.fiscal_year, f.quarter, f.known_on,
       f.revenue_cr, f.pat_cr, f.operating_profit_cr, f.eps,
       l.next_day_date, l.price_change_pct, l.label
FROM stocks s JOIN upper_circuit_labels l ON l.bse_code = s.bse_code
LEFT JOIN LATERAL (
    SELECT date, close, volume FROM price_movements
    WHERE bse_code = l.bse_code AND date <= l.earnings_date
    ORDER BY date DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT *, coalesce(announced_on,
                           period_end + CASE quarter WHEN 'Q4' THEN 60 ELSE 45 END) AS known_on
        FROM result_states WHERE bse_code = l.bse_code) results
    WHERE known_on <= l.earnings_date
    ORDER BY fiscal_year DESC, quarter DESC, known_on DESC LIMIT 1) f ON true
WITH DATA;

CREATE UNIQUE INDEX announcement_samples_key ON announcement_samples (bse_code, earnings_date);
