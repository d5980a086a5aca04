-- The ledger: who may have which name, and who has it now. Timestamps are the database's own.

CREATE TABLE accounts (
    name text PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tokens (
    prefix text PRIMARY KEY,            -- public
    digest bytea NOT NULL UNIQUE,       -- SHA-256 of the whole token; the token itself is nowhere
    account text NOT NULL REFERENCES accounts,
    comment text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    revoked timestamptz
);
CREATE INDEX ON tokens (account);

CREATE TABLE keys (
    fingerprint text PRIMARY KEY,       -- SHA256:... as ssh-keygen -l prints it
    account text NOT NULL REFERENCES accounts,
    type text NOT NULL,
    comment text NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE reserved_names (
    name text PRIMARY KEY,
    account text NOT NULL REFERENCES accounts,
    ordinal bigint GENERATED ALWAYS AS IDENTITY,    -- the oldest is an account's default
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON reserved_names (account, ordinal);

CREATE TABLE reserved_ports (
    port integer PRIMARY KEY,
    account text NOT NULL REFERENCES accounts,
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON reserved_ports (account, ordinal);

CREATE TABLE edges (
    name text PRIMARY KEY,
    region text NOT NULL,               -- its label in the zone
    addresses text[] NOT NULL,
    digest bytea NOT NULL UNIQUE,       -- SHA-256 of its secret
    instance text,                      -- random for each start of the edge
    host_keys text[] NOT NULL DEFAULT '{}',
    created timestamptz NOT NULL DEFAULT now(),
    seen timestamptz
);

CREATE TABLE tunnels (
    id text PRIMARY KEY,                -- chosen by the edge, 32 hex digits
    edge text NOT NULL REFERENCES edges,
    instance text,
    account text REFERENCES accounts,   -- NULL: anonymous
    label text NOT NULL,                -- the token's prefix or the key's fingerprint
    address text NOT NULL,
    subnet text NOT NULL,               -- what limits count: the IPv4 address or the IPv6 /64
    started timestamptz NOT NULL DEFAULT now(),
    lease timestamptz NOT NULL,         -- over at
    expires timestamptz,
    received bigint NOT NULL DEFAULT 0,
    sent bigint NOT NULL DEFAULT 0,
    visitors bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON tunnels (edge);
CREATE INDEX ON tunnels (account);
CREATE INDEX ON tunnels (subnet, started);
CREATE INDEX ON tunnels (lease);

-- Fences the owners of a name: taken only while the name's row in forwardings is held, so that for one name the
-- order of epochs is the order of owners.
CREATE SEQUENCE epoch;

CREATE TABLE forwardings (
    tunnel text NOT NULL REFERENCES tunnels ON DELETE CASCADE,
    number integer NOT NULL,
    kind text NOT NULL,
    name text NOT NULL UNIQUE,          -- one owner
    port integer UNIQUE,                -- one owner
    epoch bigint NOT NULL DEFAULT 0,    -- 0 only within the transaction that claims
    named boolean NOT NULL,             -- asked for by name or port, or the default
    live boolean NOT NULL DEFAULT false,
    started timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tunnel, number)
);

CREATE TABLE ended_tunnels (
    id text PRIMARY KEY,
    edge text NOT NULL,
    account text,
    label text NOT NULL,
    address text NOT NULL,
    subnet text NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL DEFAULT now(),
    code text NOT NULL,
    text text NOT NULL,                 -- what its client is told
    received bigint NOT NULL,
    sent bigint NOT NULL,
    visitors bigint NOT NULL
);
CREATE INDEX ON ended_tunnels (ended);
CREATE INDEX ON ended_tunnels (account, ended);
CREATE INDEX ON ended_tunnels (subnet, started);

CREATE TABLE ended_forwardings (
    tunnel text NOT NULL,
    number integer NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    port integer,
    epoch bigint NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tunnel, number, epoch)
);
CREATE INDEX ON ended_forwardings (name, epoch);

-- Released before they were authorized: the authorization, when it comes, is refused.
CREATE TABLE early_releases (
    tunnel text PRIMARY KEY,
    edge text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON early_releases (at);
