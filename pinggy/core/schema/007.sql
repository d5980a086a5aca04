-- How old the oldest order is that an edge has not carried out.
ALTER TABLE orders ADD COLUMN written timestamptz NOT NULL DEFAULT now();
