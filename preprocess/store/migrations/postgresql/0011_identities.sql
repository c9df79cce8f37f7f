-- What a stock is called from a day on: splits change ISINs, companies their symbols, and a symbol
-- may go to another company.
CREATE TABLE identities (
    bse_code text NOT NULL,
    valid_from date NOT NULL,
    isin text,
    nse_symbol text,
    PRIMARY KEY (bse_code, valid_from)
);
