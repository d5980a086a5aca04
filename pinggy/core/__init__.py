"""
The core: accounts, tokens, names, tunnels; an HTTP resource tree over PostgreSQL.

api/
    one small Resource a message: bytes to a wire value and back.
authority
    the rules: who may have which name.
ledger
    the contract of the store; `postgres` keeps it, with all SQL.
sweep
    ends tunnels whose lease is over.
managed_postgres
    a PostgreSQL of our own, for the default.
"""
