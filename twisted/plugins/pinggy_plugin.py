"""
The daemons, for twistd. Nothing of pinggy is imported until one is asked for.
"""

from twisted.application.service import ServiceMaker

together = ServiceMaker("pinggy", "pinggy.together.tap", "The whole tunnel service in one process.", "pinggy")
zone = ServiceMaker("pinggy-zone", "pinggy.gate.tap", "The gate before one PowerDNS server.", "pinggy-zone")
