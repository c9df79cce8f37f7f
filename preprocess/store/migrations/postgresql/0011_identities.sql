-- What a stock is called from a day on: splits change ISINs, companies their symbols, and a symbol
-- may go to another company.
CREATE TABLE identities (
    bse_code text NOT NULL,
    valid_from date NOT NULL,
    isin text,
    nse_symbol text,
    PRIMARY KEY (bse_code, valid_from)
);

INSERT INTO identities (bse_code, valid_from, isin, nse_symbol)
SELECT bse_code, current_date, isin, nse_symbol FROM stocks
WHERE isin IS NOT NULL OR nse_symbol IS NOT NULL;
