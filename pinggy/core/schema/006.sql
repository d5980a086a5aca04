-- What each edge has said last of what it holds.

CREATE TABLE reports (
    edge text PRIMARY KEY REFERENCES edges ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    held integer NOT NULL,
    differences text[] NOT NULL         -- to the ledger: the first ones, a sentence each
);
