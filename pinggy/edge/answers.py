"""
All that the edge answers itself, each named by what happened.

Those that depend on a setting or on the owner's word are functions of it. A visitor whom the whitelist leaves out gets
no answer at all, unless he was let in before.
"""

from __future__ import annotations

import math

from pinggy.edge.stream import Cause
from pinggy.http.answer import Answer, Stop
from pinggy.http.malformed import Malformed

# -- the tunnel --------------------------------------------------------------------------------------------------

NO_TUNNEL = Answer(
    status=404,
    code="no-tunnel",
    title="No tunnel here",
    happened="No tunnel has this name at the moment.",
    hint="Start it again, or check the name that it printed.",
    stop=Stop.TUNNEL,
)
NO_WEB_HERE = Answer(
    status=404,
    code="no-web",
    title="No website here",
    happened="The tunnel of this name does not serve HTTP.",
    hint="Give visitors the URL that it printed, or start it as an `http` tunnel.",
    stop=Stop.TUNNEL,
)
ENDED = Answer(
    status=503,
    code="tunnel-ended",
    title="This tunnel has ended",
    happened="The tunnel of this name has ended.",
    hint="Start it again. The last line that it printed says why it ended.",
    stop=Stop.TUNNEL,
)
FULL = Answer(
    status=503,
    code="tunnel-full",
    title="Too many visitors",
    happened="The tunnel of this name has as many visitors as it may have at the moment: try again soon.",
    hint="Connections that visitors keep open count too. How many a tunnel may have is the operator's to say.",
    stop=Stop.TUNNEL,
    headers=(("Retry-After", "5"),),
)
MOVING = Answer(
    status=503,
    code="tunnel-moving",
    title="This tunnel is moving",
    happened=(
        "The tunnel of this name is on its way to another place, and has not come there yet: try again in a moment."
    ),
    hint="See that its `ssh` still runs, and start it again if it does not.",
    stop=Stop.TUNNEL,
    headers=(("Retry-After", "2"),),
)

# -- the local server --------------------------------------------------------------------------------------------

DOWN = Answer(
    status=502,
    code="local-server-refused",
    title="The local server refused",
    happened="This tunnel is up, but the local server behind it refused the connection.",
    hint="See that it runs, and that it listens at the host and port that follow `-R`.",
    stop=Stop.LOCAL_SERVER,
)
CLOSED = Answer(
    status=502,
    code="local-server-closed",
    title="The local server said nothing",
    happened="This tunnel is up, but the local server behind it closed the connection without an answer.",
    hint="Look at its log. If it wants TLS, say `x:localServerTls`.",
    stop=Stop.LOCAL_SERVER,
)
NONSENSE = Answer(
    status=502,
    code="local-server-nonsense",
    title="The local server spoke no HTTP",
    happened="This tunnel is up, but the local server behind it answered with something that is not HTTP.",
    hint="See that the port that follows `-R` is a web server's. If it wants TLS, say `x:localServerTls`.",
    stop=Stop.LOCAL_SERVER,
)
NO_H2 = Answer(
    status=502,
    code="local-server-no-h2",
    title="The local server spoke no HTTP/2",
    happened="This tunnel is up, but the local server behind it did not speak HTTP/2, as it should.",
    hint=(
        "Leave out `x:h2`, or give the port where it speaks HTTP/2 with prior knowledge. If it wants TLS, say "
        "`x:localServerTls` too."
    ),
    stop=Stop.LOCAL_SERVER,
)
RESET = Answer(
    status=502,
    code="local-server-reset",
    title="The local server broke off",
    happened="This tunnel is up, but the local server behind it broke the request off before it answered.",
    hint="Look at its log.",
    stop=Stop.LOCAL_SERVER,
)
NOT_TAKEN = Answer(
    status=503,
    code="local-server-busy",
    title="The local server takes no more",
    happened="This tunnel is up, but the local server behind it takes no more requests at the moment: try again soon.",
    hint="It refused streams of HTTP/2: see how many it allows at once, and whether it is about to stop.",
    stop=Stop.LOCAL_SERVER,
    headers=(("Retry-After", "2"),),
)
NO_UPGRADE = Answer(
    status=501,
    code="no-upgrade",
    title="No WebSocket here",
    happened="This tunnel speaks HTTP/2 with its local server, where a connection cannot change its protocol.",
    hint="Leave out `x:h2`: WebSockets are opened over HTTP/1.1.",
    stop=Stop.TUNNEL,
)
TLS_FAILED = Answer(
    status=502,
    code="local-server-tls",
    title="The local server spoke no TLS",
    happened="This tunnel is up, but the local server behind it did not speak TLS, as it should.",
    hint="Leave out `x:localServerTls`, or give the port where it speaks TLS.",
    stop=Stop.LOCAL_SERVER,
)


def refused(cause: Cause) -> Answer:
    """There is no stream to the local server."""
    return _REFUSED[cause]


_REFUSED = {Cause.DOWN: DOWN, Cause.TLS: TLS_FAILED, Cause.FULL: FULL, Cause.GONE: ENDED}


def silent(seconds: float) -> Answer:
    """For so long nothing came of the response."""
    return Answer(
        status=504,
        code="local-server-silent",
        title="The local server is silent",
        happened=f"This tunnel is up, but the local server behind it was silent for {_time(seconds)}.",
        hint="See whether it hangs, and what its log says. One that needs longer may begin its response first.",
        stop=Stop.LOCAL_SERVER,
    )


# -- who asks ----------------------------------------------------------------------------------------------------

BY_TLS = Answer(
    status=301,
    code="https-only",
    title="By https only",
    happened="This tunnel is visited by https only.",
    hint="`x:https` in your command says so.",
    stop=Stop.VISITOR,
)
LOCKED = Answer(
    status=401,
    code="locked",
    title="A password is needed",
    happened="This tunnel asks for a password or a key. Its owner has them.",
    hint="The passwords follow `b:` in your command, the keys `k:`.",
    stop=Stop.VISITOR,
)
NOT_ALLOWED = Answer(
    status=403,
    code="not-allowed",
    title="You are not let in",
    happened="Your address is none of those that this tunnel lets in.",
    hint="The addresses that it lets in follow `w:` in your command.",
    stop=Stop.VISITOR,
)
MISDIRECTED = Answer(
    status=421,
    code="misdirected",
    title="This connection is another host's",
    happened="This connection was opened for another host: try again over a new one.",
    hint="Your tunnel has no part in this. Most browsers try again by themselves.",
    stop=Stop.VISITOR,
)


def too_many_tries(seconds: float) -> Answer:
    """Wrong credentials; *seconds* until the next try is heard."""
    return Answer(
        status=429,
        code="too-many-tries",
        title="Too many wrong passwords",
        happened="Too many wrong passwords or keys have come from your address: wait, and try again.",
        hint="Only that address waits. The passwords follow `b:` in your command, the keys `k:`.",
        stop=Stop.VISITOR,
        headers=_retry_after(seconds),
    )


def too_fast(seconds: float) -> Answer:
    """More requests than x:rate has; *seconds* until the next is served."""
    return Answer(
        status=429,
        code="too-fast",
        title="Too many requests",
        happened="More requests have come from your address than this tunnel allows: wait, and try again.",
        hint="The rate follows `x:rate:` in your command.",
        stop=Stop.VISITOR,
        headers=_retry_after(seconds),
    )


# -- what is asked -----------------------------------------------------------------------------------------------

TOO_SLOW = Answer(
    status=408,
    code="too-slow",
    title="The request came too slowly",
    happened="The request did not come in time.",
    hint="See that its client sends all that it announces.",
    stop=Stop.VISITOR,
)


def too_large(limit: int) -> Answer:
    """More content than x:limit allows: *limit* bytes."""
    return Answer(
        status=413,
        code="too-large",
        title="The request is too large",
        happened=f"The request carries more than this tunnel allows: {_size(limit)} at the most.",
        hint="The limit follows `x:limit:` in your command.",
        stop=Stop.VISITOR,
    )


def malformed(why: Malformed) -> Answer:
    """No HTTP that we read, or none that all read alike."""
    code, title, hint = _MALFORMED.get(why.status, _MALFORMED[400])
    return Answer(status=why.status, code=code, title=title, happened=why.sentence, hint=hint, stop=Stop.VISITOR)


_MALFORMED = {
    400: ("malformed", "A request that is not well formed", "Look at what its client sends."),
    414: ("url-too-long", "The URL is too long", "Long things go into the content of a request."),
    431: ("head-too-large", "The head is too large", "Large cookies and long URLs are what makes it so."),
    501: ("unknown-method", "An unknown method", "Use one of those that HTTP has registered."),
    505: ("unknown-version", "An unknown version of HTTP", "Have its client speak HTTP/1.1, or HTTP/2 over https."),
}


def _retry_after(seconds: float) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(max(1, math.ceil(seconds)))),)


def _time(seconds: float) -> str:
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


def _size(count: int) -> str:
    """In the units of x:limit, where it is whole in them."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count % 1024**power == 0:
            return f"{count // 1024**power} {unit}"
    return "1 byte" if count == 1 else f"{count} bytes"
