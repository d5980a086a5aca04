"""
The names that we own: the only floor, but the daemons, that waits.

zone
    the contract: publish and withdraw, by epoch.
embedded
    an authoritative server of our own: dnspython's codec on Twisted transports.
probe
    is it really there? One question to one server.
"""
