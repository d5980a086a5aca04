"""
The way in for clients: SSH, by Conch; the files have Conch's names where one exists.

transport, connection, channel
    what Conch lacks: strangers' garbage ends quietly, global requests are answered when their Deferred has, windows
    are credited with what was consumed. `connection` and `channel` import nothing of ours.
userauth, realm
    who is this? Asked of the core.
client
    the avatar: one authenticated connection, as tunnels know it.
forwarded
    a ``forwarded-tcpip`` channel: the stream of one visitor.
console, direct
    what the client's own channels show: the terminal, and ``-L``.
"""
