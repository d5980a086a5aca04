"""
The daemons, for twistd. Nothing of pinggy is imported until one is asked for.
"""

from twisted.application.service import ServiceMaker

together = ServiceMaker("pinggy", "pinggy.together.tap", "The whole tunnel service in one process.", "pinggy")
core = ServiceMaker("pinggy-core", "pinggy.core.tap", "The core: accounts, names, tunnels.", "pinggy-core")
zone = ServiceMaker("pinggy-zone", "pinggy.gate.tap", "The gate before one PowerDNS server.", "pinggy-zone")
edge = ServiceMaker("pinggy-edge", "pinggy.edge.tap", "Where clients and visitors connect.", "pinggy-edge")
