-- 1 where the close was the session's upper price limit, NULL where that can't be known.
ALTER TABLE upper_circuit_labels ADD COLUMN upper_circuit smallint CHECK (upper_circuit IN (0, 1));
