"""
Regions of a whole deployment with networks between them, and what breaks there: ``python -m tests.system.regions``.

world
    the map: which program runs at which site, and what it is told.
namespaces, latency
    a network namespace a site, and the wire between them: it delays, and loses what a cut link would.
processes, files
    a program at a site; the settings files.
population, local_server, bodies
    accounts with their names; what they serve, byte by byte.
clients, visitors, resolvers
    who uses the service: ssh in a loop, steady requests, resolvers that cache.
faults
    a seed makes a schedule of what breaks when.
histories, checker
    what was seen; what must hold of it.
driver
    runs all of it, and reports.
"""
