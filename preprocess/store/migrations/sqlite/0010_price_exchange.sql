-- The exchange whose prices a stock's series goes on with. The two differ in closes and much in
-- volumes, so a series is of one of them.
ALTER TABLE stocks ADD COLUMN price_exchange TEXT CHECK (price_exchange IN ('BSE', 'NSE'));
