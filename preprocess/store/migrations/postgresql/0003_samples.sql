-- One row for each labelled announcement: what was known on that day, and what came of it. It is
-- refreshed as a whole (preprocess/store/postgres_samples.py), beside its readers.
-- 45 and 60 days are calendar.announcement_limit, the filing limit: a test holds the two together.
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
        FROM historical_financials WHERE bse_code = l.bse_code) results
    WHERE known_on <= l.earnings_date
    ORDER BY fiscal_year DESC, quarter DESC LIMIT 1) f ON true
WITH DATA;

-- What REFRESH ... CONCURRENTLY compares by.
CREATE UNIQUE INDEX announcement_samples_key ON announcement_samples (bse_code, earnings_date);

-- The change-log entry up to which a derived table holds the market.
CREATE TABLE derived_marks (
    name text NOT NULL PRIMARY KEY,
    sequence bigint NOT NULL,
    token text NOT NULL
);

INSERT INTO derived_marks VALUES ('announcement_samples', 0, '');
