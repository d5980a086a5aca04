"""
The core: accounts, tokens, names, tunnels; an HTTP resource tree over PostgreSQL.

service
    all of it, composed in one place.
api/
    one small Resource a message: bytes to a wire value and back.
authority
    the rules of tunnels: who is it, what may they have, when is it over; `claims`: who may have which name.
operator
    what the operator may do.
ledger
    the contract of the store; postgres/ keeps it, with all SQL, over `pool`; `migrations` and schema/ make its tables.
sweep
    ends tunnels whose lease is over.
managed_postgres
    a PostgreSQL of our own, for the default; `postgres_binaries` finds its programs.
"""
