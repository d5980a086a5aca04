"""
``twistd pinggy``: core and edge, with a PostgreSQL and an authoritative DNS of its own, in one process.

The edge in it speaks to the core over HTTP as anywhere: there is no second path.
"""
