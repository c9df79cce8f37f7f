-- A random token for each transaction: see the SQLite schema.
ALTER TABLE change_log ADD COLUMN token text NOT NULL DEFAULT '';

-- The rows that features are computed from, packed (preprocess/store/packs.py). Not compressed, and
-- a year's 8 KB stay in the table's own page: a pack is read at the speed of copying it.
CREATE TABLE price_packs (
    bse_code text COLLATE "C" NOT NULL,
    year integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (bse_code, year)
);
ALTER TABLE price_packs ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE price_packs SET (toast_tuple_target = 8160);
ALTER TABLE price_packs CLUSTER ON price_packs_pkey;

CREATE TABLE stock_packs (
    bse_code text COLLATE "C" NOT NULL PRIMARY KEY,
    results bytea NOT NULL,
    actions bytea NOT NULL,
    labels bytea NOT NULL,
    statics bytea NOT NULL
);
ALTER TABLE stock_packs
    ALTER COLUMN results SET STORAGE EXTERNAL,
    ALTER COLUMN actions SET STORAGE EXTERNAL,
    ALTER COLUMN labels SET STORAGE EXTERNAL,
    ALTER COLUMN statics SET STORAGE EXTERNAL;
ALTER TABLE stock_packs SET (toast_tuple_target = 8160);
