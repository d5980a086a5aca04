"""
``pinggy token``: what a client's user name begins with to be of an account.
"""

from __future__ import annotations

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import short_time
from pinggy.tunnel.refusals import TokenMistyped
from pinggy.tunnel.token import parse_token
from pinggy.wire import paths
from pinggy.wire.operator import AddToken, NewToken, Tokens


def grow(tree: Tree) -> None:
    noun = tree.noun("token", "the user name that makes a tunnel its account's")
    verb = noun.verb("add", add, "make a token and print it, once", "me", "me --comment 'the laptop'")
    verb.add_argument("account", metavar="ACCOUNT")
    verb.add_argument("--comment", default="", metavar="TEXT", help="what it is for")
    verb = noun.verb("list", show, "list tokens by their public prefix", "", "--account me")
    verb.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    verb = noun.verb("revoke", revoke, "revoke a token: it is refused from now on", "xxYYzzZ")
    verb.add_argument("prefix", metavar="PREFIX", help="its public prefix, as 'pinggy token list' shows it")


def add(call: Call) -> None:
    wanted = AddToken(account=call.options.account, comment=call.options.comment)
    answer = call.core.add(paths.TOKENS, wanted, NewToken)
    token = answer.message
    call.terminal.show_done(
        answer.body,
        f"This is the new token of account {token.account}, said only now: keep it. It goes before the @ of the ssh "
        f"command; to revoke it: pinggy token revoke {token.prefix}",
        token.token.reveal(),
    )


def show(call: Call) -> None:
    answer = call.core.get(paths.TOKENS, Tokens, account=call.options.account)
    call.terminal.show_list(
        answer.body,
        ("PREFIX", "ACCOUNT", "CREATED (UTC)", "REVOKED (UTC)", "COMMENT"),
        [
            (each.prefix, each.account, short_time(each.created), short_time(each.revoked), each.comment)
            for each in answer.message.tokens
        ],
        "There are no tokens: make one with 'pinggy token add ACCOUNT'.",
    )


def revoke(call: Call) -> None:
    prefix = _prefix(call.options.prefix)
    body = call.core.take_away(paths.TOKENS, prefix)
    call.terminal.show_done(body, f"Token {prefix} is revoked.")


def _prefix(text: str) -> str:
    """Whoever gives the whole token means its prefix; the rest of it stays here."""
    try:
        token = parse_token(text)
    except TokenMistyped as refusal:
        raise CommandFailed(str(refusal)) from None
    return token.prefix if token is not None else text
