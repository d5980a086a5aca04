"""
Conch as it comes, with what its own UnixConchUser does for forwardings and nothing else.

    python -m benchmarks.leg.conch_server FOLDER      prints its port
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh import forwarding
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.defer import succeed
from zope.interface import implementer

REACTOR: Any = reactor


class User(ConchUser):
    conn: Any

    def __init__(self) -> None:
        super().__init__()
        self._listening: list[Any] = []

    def global_tcpip_forward(self, data: bytes) -> Any:
        host, port = forwarding.unpackGlobal_tcpip_forward(data)
        factory = forwarding.SSHListenForwardingFactory(
            self.conn, (host, port), forwarding.SSHListenServerForwardingChannel
        )
        listening = REACTOR.listenTCP(port, factory, interface="127.0.0.1")
        self._listening.append(listening)
        if port:
            return 1
        # Clients know the forwarding by the port that they were told; Conch's own would go on saying 0.
        factory.hostport = (host, listening.getHost().port)
        return 1, listening.getHost().port.to_bytes(4, "big")

    def logout(self) -> None:
        for each in self._listening:
            each.stopListening()


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatarId: object, mind: object, *interfaces: object) -> Any:
        user = User()
        return succeed((IConchUser, user, user.logout))


def main() -> None:
    folder = Path(sys.argv[1])
    key = Key.fromFile(str(folder / "host_key"))
    client = Key.fromFile(str(folder / "client_key.pub"))
    factory: Any = SSHFactory()
    factory.privateKeys = {key.sshType(): key}
    factory.publicKeys = {key.sshType(): key.public()}
    factory.portal = Portal(Realm(), [SSHPublicKeyChecker(InMemorySSHKeyDB({b"root": [client]}))])
    port = REACTOR.listenTCP(0, factory, interface="127.0.0.1", backlog=1024)
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    REACTOR.run()


if __name__ == "__main__":
    main()
