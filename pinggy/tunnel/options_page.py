"""
docs/options.rst, written from the grammar of the arguments: ``python -m pinggy.tunnel.options_page`` prints it.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

from pinggy.tunnel.argument_values import HIGHEST_RATE, LARGEST_LIMIT, OF_THE_CONNECTION, OF_THE_WEBSOCKET
from pinggy.tunnel.arguments import LONGEST_COMMAND, MOST_WORDS, OPTIONS, Option

_WIDTH = 116
_KINDS_WIDTH = 20
_HEADINGS = ("write", "effect", "tunnels")

_INTRODUCTION = """\
The arguments of a tunnel
=========================

Words behind the host of the ``ssh`` command say what is done with visitors::

    ssh -p 443 -R0:localhost:8000 a.example.com b:ann:tulip x:https "'a:X-Served-By:my laptop'"

The service splits them as a shell does, so a word with spaces is quoted twice: for the shell at home, and for it. They
hold for every forwarding of the connection, from the first byte of the first visitor on. A word that is none of these,
or is not well formed, ends the tunnel with a sentence that names it.

What stands in square brackets may be left out. Of an option that is given twice the last one holds, unless it is
*repeatable*. The names behind ``x:`` may be written in upper and lower case.

"""

_NOTES = f"""
Headers
-------

The rules ``a: r: u:`` are carried out in the order in which they are written, after everything that the service itself
adds or takes away; so are ``A: R: U:``. What the edge answers itself (a redirection, a page that says why not) is
not touched by them, and neither are interim responses (1xx) but for 101.

Some headers say where a message begins and ends, or belong to one connection only; a rule that names one is refused::

{{of_the_connection}}

and for responses also, since they say how the bytes of a WebSocket are to be read::

{{of_the_websocket}}

``Host`` cannot be removed or added a second time. A value is Latin-1 without control characters.

Cookies
-------

A ``Set-Cookie`` of a local server whose ``Domain`` is the service's own domain, or one above it, loses that attribute:
the cookie is then the tunnel's own, instead of every tunnel's. See ``operations.rst`` for the Public Suffix List, by
which browsers hold to the same.

gRPC, and others that need HTTP/2
---------------------------------

``x:h2`` is for local servers that speak HTTP/2 without being asked for it, as gRPC's do::

    ssh -R0:localhost:50051 EDGE x:h2           # grpc.insecure_channel, add_insecure_port
    ssh -R0:localhost:50051 EDGE x:h2 x:localServerTls

Visitors come by https: gRPC chooses HTTP/2 in its TLS. All of them share one connection to the local server, where each
call is a stream, with its trailers and its end; under ``x:haproxy`` each visitor's connection has one of its own.
Visitors who speak HTTP/1.1 are served too, but WebSockets have no way over it. Without ``x:h2`` calls of gRPC fail.

In which order
--------------

A visitor whom ``w:`` does not name gets no answer. Then ``x:https`` redirects; then come ``x:rate``, passwords and
keys, and ``x:limit``. Whoever gives a wrong password or key too often is answered 429 for a while, whatever he gives;
this counts by address (IPv6: by /64) and tunnel.

Bounds
------

All arguments together: {LONGEST_COMMAND} bytes, {MOST_WORDS} words. ``x:rate``: 1 to {HIGHEST_RATE} requests.
``x:limit``: 1 to {LARGEST_LIMIT // 1024**3}g.
"""


def options_page() -> str:
    """The text of docs/options.rst."""
    head = ".. Written by ``make options`` from pinggy/tunnel/arguments.py: change it there.\n\n"
    notes = _NOTES.format(of_the_connection=_listed(OF_THE_CONNECTION), of_the_websocket=_listed(OF_THE_WEBSOCKET))
    return head + _INTRODUCTION + "\n".join(_table()) + "\n" + notes


def _table() -> Iterable[str]:
    first = max(len(f"``{option.usage}``") for option in OPTIONS)
    middle = _WIDTH - first - _KINDS_WIDTH - 4
    rule = f"{'=' * first}  {'=' * middle}  {'=' * _KINDS_WIDTH}"
    yield rule
    yield f"{_HEADINGS[0]:{first}}  {_HEADINGS[1]:{middle}}  {_HEADINGS[2]}"
    yield rule
    for option in OPTIONS:
        lines = textwrap.wrap(_effect(option), middle, break_long_words=False, break_on_hyphens=False)
        kinds = " ".join(kind.value for kind in option.kinds)
        yield f"{f'``{option.usage}``':{first}}  {lines[0]:{middle}}  {kinds}"
        for line in lines[1:]:
            # In a simple table a line whose first cell is blank goes on with the row above.
            yield f"{'':{first}}  {line}"
    yield rule


def _effect(option: Option) -> str:
    parts = [option.meaning]
    if option.repeatable:
        parts.append("*Repeatable.*")
    parts += [f"Also written ``{word}``." for word in option.words[1:]]
    return " ".join(parts)


def _listed(names: Iterable[str]) -> str:
    return textwrap.fill(" ".join(sorted(names)), _WIDTH - 4, initial_indent="    ", subsequent_indent="    ")


if __name__ == "__main__":
    sys.stdout.write(options_page())
