"""
The ledger in PostgreSQL: all SQL of the core.

Isolation is READ COMMITTED: each statement sees what was committed before it began. What must not change in between
is held by a row lock, an advisory lock or a unique row, and the comment beside it says which.

ledger
    transactions over the pool.
edges, accounts, tunnels, claims, orders, zone
    the statements of one part of the contract each.
statements
    what they have in common.
"""
