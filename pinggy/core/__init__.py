"""
The core: accounts, tokens, names, tunnels; an HTTP resource tree over PostgreSQL.

service
    all of it, composed in one place; `door` is where it is listened at.
api/
    one small Resource a message: bytes to a wire value and back.
authority
    the rules of tunnels: who is it, what may they have, when is it over; `claims`: who may have which name.
operator
    what the operator may do.
ledger
    the contract of the store; postgres/ keeps it, with all SQL, over `pool` and `connections`; `migrations` and schema/
    make its tables.
sweep
    ends tunnels whose lease is over.
orders
    what edges are to do, as a long poll; `asks`: questions to edges, and their answers.
news
    what was committed, told in every core; `news_listener` brings it from the others.
reconcile
    what edges say they hold against the ledger, by `holdings`; `report_book` is that part of the ledger's contract.
custodian
    keeps the zone true, by `compare`, and by `answers` what is really answered; `zone_office` is the operator's look;
    `zone_book` is that part of the ledger's contract.
geo, latency_entry
    the host that leads to the nearest edge: the file of places that gates fetch, and the records at Route 53;
    `entry_settings` says which of the two, `edge_place` where edges are.
doctor/
    is all well, and would this tunnel serve? `doctor_book` is that part of the ledger's contract.
places
    where names live: what edges ask, and what they are told; `relay_ca` signs what they know each other by;
    `place_book` is that part of the ledger's contract.
records
    grants as records of the zone, signed with the key of `grant_key`.
key_file
    a secret that all cores share: `grant_key` and `relay_ca` keep theirs in one.
managed_postgres
    a PostgreSQL of our own, for the default; `postgres_binaries` finds its programs, `postgres_program` is one that
    runs, `postgres_left_over` the server of a process that was killed.
"""
