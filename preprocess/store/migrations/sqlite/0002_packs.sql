-- A random token for each transaction: a sequence number alone would not tell this database's log
-- from that of another, or of a copy that was put back and gone on with.
ALTER TABLE change_log ADD COLUMN token TEXT NOT NULL DEFAULT '';

-- The rows that features are computed from, packed (preprocess/store/packs.py) and written in the
-- transaction that changed them. A stock without rows of a kind has an empty pack of it.
CREATE TABLE price_packs (
    bse_code TEXT NOT NULL,
    year INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (bse_code, year)
) STRICT, WITHOUT ROWID;

CREATE TABLE stock_packs (
    bse_code TEXT NOT NULL PRIMARY KEY,
    results BLOB NOT NULL,
    actions BLOB NOT NULL,
    labels BLOB NOT NULL,
    statics BLOB NOT NULL
) STRICT, WITHOUT ROWID;
