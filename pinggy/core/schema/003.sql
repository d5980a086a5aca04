-- Orders of every kind; what edges say of themselves.

-- What has not been carried out yet is no loss: edges learn with their next renewal which tunnels are over.
DELETE FROM orders;
ALTER TABLE orders DROP COLUMN tunnel, DROP COLUMN code, DROP COLUMN text;
ALTER TABLE orders ADD COLUMN said text NOT NULL;      -- the order, as JSON

ALTER TABLE edges ADD COLUMN relay_port integer;       -- where it takes visitors from other edges
ALTER TABLE edges ADD COLUMN draining boolean NOT NULL DEFAULT false;
