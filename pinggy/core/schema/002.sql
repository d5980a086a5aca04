-- What the core wants of edges, and the records of regions in the zone.

-- How many orders each edge has been given: their numbers have no gaps.
CREATE TABLE order_streams (
    edge text PRIMARY KEY REFERENCES edges ON DELETE CASCADE,
    last bigint NOT NULL
);

-- Not yet said to be carried out.
CREATE TABLE orders (
    edge text NOT NULL REFERENCES order_streams ON DELETE CASCADE,
    number bigint NOT NULL,
    tunnel text NOT NULL,               -- to be closed
    code text NOT NULL,
    text text NOT NULL,                 -- what its client is told
    PRIMARY KEY (edge, number)
);

-- What was last decided about the host of a region; the union of its edges' addresses, none where it has no edges.
CREATE TABLE regions (
    name text PRIMARY KEY,
    addresses text[] NOT NULL,
    epoch bigint NOT NULL
);
