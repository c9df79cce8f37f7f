-- A band holds on the session after `date`, the day of the exchange's file. NULL: no band.
CREATE TABLE price_bands (
    bse_code text COLLATE "C" NOT NULL,
    date date NOT NULL,
    band double precision CHECK (band > 0 AND band <> 'NaN'),
    source text NOT NULL,
    PRIMARY KEY (bse_code, date)
);

-- Every filing of a quarter's results as it was made, revisions included. historical_financials
-- holds what follows from them. `filed_at` is a day, or a day and time in Mumbai.
CREATE TABLE filings (
    bse_code text COLLATE "C" NOT NULL,
    period_end date NOT NULL,
    basis text COLLATE "C" NOT NULL CHECK (basis IN ('consolidated', 'standalone', '')),
    filed_at text COLLATE "C" NOT NULL,
    revenue_cr double precision CHECK (revenue_cr <> 'NaN'),
    pat_cr double precision CHECK (pat_cr <> 'NaN'),
    operating_profit_cr double precision CHECK (operating_profit_cr <> 'NaN'),
    eps double precision CHECK (eps <> 'NaN'),
    PRIMARY KEY (bse_code, period_end, basis, filed_at)
);
