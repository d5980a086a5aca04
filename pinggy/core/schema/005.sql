-- Takeover: names pass to newer tunnels, and the old ones are closed when those are live.

-- Tunnels that are over in the ledger, and at their edges not before their successor is live, or over itself.
CREATE TABLE handovers (
    tunnel text PRIMARY KEY,            -- the old one
    edge text NOT NULL REFERENCES edges ON DELETE CASCADE,      -- where it is
    successor text NOT NULL,            -- the tunnel that has taken a name of it
    code text NOT NULL,
    text text NOT NULL,                 -- what its client will be told
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON handovers (successor);

-- Tunnels that such a token identifies take names from older ones of the account, as with force.
ALTER TABLE tokens ADD COLUMN newest_wins boolean NOT NULL DEFAULT false;
