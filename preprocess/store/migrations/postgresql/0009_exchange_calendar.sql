-- The sessions of the exchange's calendar, ISO days with commas between, by one release of the
-- library that knows them.
CREATE TABLE exchange_calendar (
    source text NOT NULL PRIMARY KEY,
    days text NOT NULL
);
