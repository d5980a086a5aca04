-- The nearest edge: where edges are, and what the entry was when it was last decided.

ALTER TABLE edges ADD COLUMN latitude double precision;            -- degrees north, NULL where nobody has said
ALTER TABLE edges ADD COLUMN longitude double precision;           -- degrees east
ALTER TABLE edges ADD COLUMN aws_region text NOT NULL DEFAULT '';  -- nearest to it, for Route 53

-- The addresses of the edges that clients may be sent to, none where there are no edges.
CREATE TABLE entries (
    name text PRIMARY KEY,              -- absolute, without the final dot
    port integer NOT NULL,              -- where an edge is asked whether it lives
    addresses text[] NOT NULL,
    epoch bigint NOT NULL
);
