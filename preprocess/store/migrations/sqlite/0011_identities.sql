-- What a stock is called from a day on: splits change ISINs, companies their symbols, and a symbol
-- may go to another company.
CREATE TABLE identities (
    bse_code TEXT NOT NULL,
    valid_from TEXT NOT NULL CHECK (valid_from GLOB '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]'),
    isin TEXT,
    nse_symbol TEXT,
    PRIMARY KEY (bse_code, valid_from)
) STRICT, WITHOUT ROWID;

INSERT INTO identities (bse_code, valid_from, isin, nse_symbol)
SELECT bse_code, date('now'), isin, nse_symbol FROM stocks
WHERE isin IS NOT NULL OR nse_symbol IS NOT NULL;
