"""
The arguments (ssh-interface): the exec string of a stranger becomes a frozen `Policy`, or a `Refusal` that names the
word.

`OPTIONS` is the grammar: the parser looks a word up there, and the table of docs/options.rst is written from it
(`options_page`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from pinggy.settings import Secret
from pinggy.tunnel import argument_values as values
from pinggy.tunnel.argument_values import Unfit
from pinggy.tunnel.networks import Network
from pinggy.tunnel.policy import BasicAuth, HeaderAction, HeaderRule, Policy
from pinggy.tunnel.refusals import TooLong, UnknownArgument, echo
from pinggy.tunnel.request import Kind

LONGEST_COMMAND = 16 * 1024
MOST_WORDS = 256


@dataclass(slots=True)
class _Draft:
    """A policy in the making."""

    headers: list[HeaderRule] = field(default_factory=list)
    response_headers: list[HeaderRule] = field(default_factory=list)
    basic: list[BasicAuth] = field(default_factory=list)
    bearer: list[Secret] = field(default_factory=list)
    whitelist: list[Network] = field(default_factory=list)
    single: dict[str, object] = field(default_factory=dict)

    def policy(self) -> Policy:
        return Policy(
            headers=tuple(self.headers),
            response_headers=tuple(self.response_headers),
            basic=tuple(self.basic),
            bearer=tuple(self.bearer),
            whitelist=tuple(self.whitelist),
            **self.single,  # type: ignore[arg-type]
        )


Reader = Callable[[_Draft, str], None]
"""Puts what stands behind an option's word into the draft. Raises `Unfit`."""

_HTTP = (Kind.HTTP,)
_EVERY = (Kind.HTTP, Kind.TCP, Kind.TLS, Kind.TLSTCP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    One row of the grammar. *words* are its names, the first is the usual one; *form* is what follows, with its colon,
    in square brackets where it may be left out. *kinds* are the tunnels it is for. *read* is given what stands behind
    the colon, empty where nothing does; of a *secret* option that is never shown.
    """

    words: tuple[str, ...]
    form: str = ""
    meaning: str
    kinds: tuple[Kind, ...] = _HTTP
    repeatable: bool = False
    secret: bool = False
    read: Reader

    @property
    def usage(self) -> str:
        """How it is written."""
        return self.words[0] + self.form


def split_command(command: bytes) -> tuple[str, ...]:
    """The words of an exec string, split as a shell does. Raises `TooLong` or `UnknownArgument`."""
    if len(command) > LONGEST_COMMAND:
        raise TooLong(f"The arguments are too long: {LONGEST_COMMAND} bytes at the most.")
    try:
        words = shlex.split(command.decode("utf-8"))
    except UnicodeDecodeError:
        raise UnknownArgument("The arguments are not valid UTF-8.") from None
    except ValueError:
        raise UnknownArgument("The arguments have a quotation mark that is never closed.") from None
    if len(words) > MOST_WORDS:
        raise TooLong(f"Too many arguments: {MOST_WORDS} at the most.")
    return tuple(words)


def parse_policy(words: tuple[str, ...]) -> Policy:
    """Read the arguments. Raises `UnknownArgument`, which names the word and says what to write."""
    draft = _Draft()
    option = None
    for word in words:
        name, colon, rest = _name(word)
        before, option = option, _BY_WORD.get(name)
        if option is None:
            raise _unknown(word, name, before)
        if colon and not option.form:
            raise _refused(option, word, Unfit("takes nothing behind it"))
        if not rest and (colon or option.form.startswith(":")):
            raise _refused(option, word, Unfit("lacks what belongs behind it"))
        try:
            option.read(draft, rest)
        except Unfit as unfit:
            raise _refused(option, word, unfit) from None
    return draft.policy()


def check_suits(policy: Policy, kind: Kind) -> None:
    """
    Raises `UnknownArgument` where *policy* asks for what there cannot be in a tunnel whose type is *kind*. Forwardings
    that are named may be of others: it may be meant for them where the tunnel's own is not in question.
    """
    if policy.local_tls is not None and kind is Kind.TLS:
        raise UnknownArgument.of(
            "x:localServerTls",
            "is not for the type tls: there the visitor's own TLS is passed on unread. Write tlstcp, whose TLS ends at "
            "the edge, or leave the option out",
        )


def _name(word: str) -> tuple[str, str, str]:
    """The word of an option in *word*, as `_BY_WORD` has it; the colon behind it, if any; the rest."""
    head, colon, rest = word.partition(":")
    if head != "x" or not colon:
        return head, colon, rest
    name, colon, rest = rest.partition(":")
    return f"x:{name.lower()}", colon, rest


def _refused(option: Option, word: str, unfit: Unfit) -> UnknownArgument:
    shown = f"{option.words[0]}:" if option.secret else word
    return UnknownArgument.of(shown, f"{unfit}. Write {unfit.instead or option.usage}")


def _unknown(word: str, name: str, before: Option | None) -> UnknownArgument:
    if name.startswith("x:") or name == "x":
        known = " ".join(option.words[0] for option in OPTIONS if option.words[0].startswith("x:"))
        return UnknownArgument.of(word, f"is not an option of this service. Write one of {known}")
    # What stands behind may be a password after the wrong letter: it is not shown.
    shown = name if name == word else f"{name}:"
    if name.lower() in _BY_WORD or name == "X":
        return UnknownArgument.of(shown, f"is not an option of this service. Write {name.lower()}: in lower case")
    if before is not None and (before.secret or (name == word and before.form.endswith(":Value"))):
        # Perhaps a value that a shell has torn apart; of a password no part is shown.
        said = f"The word behind '{before.words[0]}:'" if before.secret else f"'{echo(word)}'"
        return UnknownArgument(
            f"{said} is not an option of this service. If it belongs to what stands before it, write both in quotes of "
            f"their own, as in \"'{before.words[0]}{before.form}'\"."
        )
    heads = " ".join(f"{option.words[0]}:" for option in OPTIONS if not option.words[0].startswith("x:"))
    return UnknownArgument.of(shown, f"is not an option of this service. Options begin with {heads} or x:")


# -- readers -----------------------------------------------------------------------------------------------------------


def _request_rule(action: HeaderAction) -> Reader:
    def read(draft: _Draft, rest: str) -> None:
        draft.headers.append(values.request_rule(action, rest))

    return read


def _response_rule(action: HeaderAction) -> Reader:
    def read(draft: _Draft, rest: str) -> None:
        draft.response_headers.append(values.response_rule(action, rest))

    return read


def _basic(draft: _Draft, rest: str) -> None:
    draft.basic.append(values.basic_auth(rest))


def _bearer(draft: _Draft, rest: str) -> None:
    draft.bearer.append(values.bearer_key(rest))


def _whitelist(draft: _Draft, rest: str) -> None:
    draft.whitelist.extend(values.networks(rest))


def _sets(name: str, value: object) -> Reader:
    def read(draft: _Draft, rest: str) -> None:
        draft.single[name] = value

    return read


def _takes(name: str, read_value: Callable[[str], object]) -> Reader:
    def read(draft: _Draft, rest: str) -> None:
        draft.single[name] = read_value(rest)

    return read


OPTIONS: tuple[Option, ...] = (
    Option(
        words=("a",),
        form=":Name:Value",
        meaning="Adds a header to each request; the value may hold colons and spaces.",
        repeatable=True,
        read=_request_rule(HeaderAction.ADD),
    ),
    Option(
        words=("r",),
        form=":Name",
        meaning="Removes every header of that name from each request; Host stays.",
        repeatable=True,
        read=_request_rule(HeaderAction.REMOVE),
    ),
    Option(
        words=("u",),
        form=":Name:Value",
        meaning="Removes, then adds; u:Host:Value rewrites Host, and the last one wins.",
        repeatable=True,
        read=_request_rule(HeaderAction.UPDATE),
    ),
    Option(
        words=("A",),
        form=":Name:Value",
        meaning="Adds a header to each response.",
        repeatable=True,
        read=_response_rule(HeaderAction.ADD),
    ),
    Option(
        words=("R",),
        form=":Name",
        meaning="Removes every header of that name from each response.",
        repeatable=True,
        read=_response_rule(HeaderAction.REMOVE),
    ),
    Option(
        words=("U",),
        form=":Name:Value",
        meaning="Removes from each response, then adds.",
        repeatable=True,
        read=_response_rule(HeaderAction.UPDATE),
    ),
    Option(
        words=("b",),
        form=":user:pass",
        meaning="Asks visitors for a user name and a password (basic auth), which the local server does not see.",
        repeatable=True,
        secret=True,
        read=_basic,
    ),
    Option(
        words=("k",),
        form=":key",
        meaning="Asks visitors for the header Authorization: Bearer key, which the local server does not see; where"
        " there are passwords too, either lets in.",
        repeatable=True,
        secret=True,
        read=_bearer,
    ),
    Option(
        words=("w",),
        form=":NET[,NET...]",
        meaning="Lets in visitors of these IPv4 and IPv6 addresses and networks only; others are dropped before"
        " anything is said, TLS included.",
        kinds=_EVERY,
        repeatable=True,
        read=_whitelist,
    ),
    Option(
        words=("x:https", "x:httpsonly"),
        meaning="Sends visitors who come by plain HTTP to https (301).",
        read=_sets("https_only", True),
    ),
    Option(
        words=("x:xff",),
        form="[:Header]",
        meaning="Adds the visitor's address in a header of this name, X-Forwarded-For if none is given.",
        read=_takes("xff", values.address_header),
    ),
    Option(
        words=("x:fullurl", "x:fullrequesturl"),
        meaning="Adds the header X-Pinggy-Url with the whole URL that was asked for.",
        read=_sets("full_url", True),
    ),
    Option(
        words=("x:localServerTls",),
        form="[:sni]",
        meaning="Speaks TLS to the local server, with this server name, localhost if none is given. Its certificate"
        " is not checked; visitors see the service's own.",
        kinds=(Kind.HTTP, Kind.TCP, Kind.TLSTCP),
        read=_takes("local_tls", values.server_name),
    ),
    Option(
        words=("x:passpreflight", "x:allowpreflight"),
        meaning="Lets CORS preflights pass as they are, without a password or key.",
        read=_sets("pass_preflight", True),
    ),
    Option(
        words=("x:noreverseproxy",),
        meaning="Leaves out X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded, which are added"
        " otherwise.",
        read=_sets("reverse_proxy", False),
    ),
    Option(
        words=("x:haproxy",),
        form="[:v1|:v2]",
        meaning="Begins each connection to the local server with a PROXY protocol head of this version, v1 if none is"
        " given: it says the visitor's address. Where x:localServerTls is given too, it stands before the TLS.",
        kinds=_EVERY,
        read=_takes("haproxy", values.proxy_protocol),
    ),
    Option(
        words=("x:rate",),
        form=":N/s",
        meaning="Lets each visitor make N requests a second (/m a minute, /h an hour), as many at once; more are"
        " answered 429 and when to try again. IPv6 visitors count by their /64.",
        read=_takes("rate", values.rate),
    ),
    Option(
        words=("x:limit",),
        form=":SIZE",
        meaning="Answers 413 to requests whose content has more than SIZE bytes; k, m and g stand for 1024 bytes and"
        " its powers.",
        read=_takes("limit", values.size),
    ),
    Option(
        words=("x:h2",),
        meaning="Speaks HTTP/2 with prior knowledge to the local server, as gRPC needs it (below); no WebSockets then.",
        read=_sets("h2", True),
    ),
)

_BY_WORD = {(word.lower() if word.startswith("x:") else word): option for option in OPTIONS for word in option.words}
