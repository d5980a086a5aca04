"""
``pinggy token``: what a client's user name begins with to be of an account.
"""

from __future__ import annotations

import argparse

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import short_time
from pinggy.tunnel.refusals import TokenMistyped
from pinggy.tunnel.token import parse_token
from pinggy.wire import paths
from pinggy.wire.messages import Done
from pinggy.wire.operator import AddToken, NewToken, SetToken, Tokens

_NEWEST_WINS = "a new tunnel takes its names from older ones of the account, as with +force"


def grow(tree: Tree) -> None:
    noun = tree.noun("token", "the user name that makes a tunnel its account's")
    verb = noun.verb("add", add, "make a token and print it, once", "me", "me --comment 'the laptop'")
    verb.add_argument("account", metavar="ACCOUNT")
    verb.add_argument("--comment", default="", metavar="TEXT", help="what it is for")
    verb.add_argument("--newest-wins", action="store_true", help=_NEWEST_WINS)
    verb = noun.verb("list", show, "list tokens by their public prefix", "", "--account me")
    verb.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    verb = noun.verb("set", change, "say what a token does from now on", "xxYYzzZ --newest-wins")
    verb.add_argument("prefix", metavar="PREFIX", help="its public prefix, as 'pinggy token list' shows it")
    verb.add_argument("--newest-wins", action=argparse.BooleanOptionalAction, required=True, help=_NEWEST_WINS)
    verb = noun.verb("revoke", revoke, "revoke a token: it is refused from now on", "xxYYzzZ")
    verb.add_argument("prefix", metavar="PREFIX", help="its public prefix, as 'pinggy token list' shows it")


def add(call: Call) -> None:
    options = call.options
    wanted = AddToken(account=options.account, comment=options.comment, newest_wins=options.newest_wins)
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
        ("PREFIX", "ACCOUNT", "CREATED (UTC)", "REVOKED (UTC)", "NEWEST WINS", "COMMENT"),
        [
            (
                each.prefix,
                each.account,
                short_time(each.created),
                short_time(each.revoked),
                "yes" if each.newest_wins else "no",
                each.comment,
            )
            for each in answer.message.tokens
        ],
        "There are no tokens: make one with 'pinggy token add ACCOUNT'.",
    )


def change(call: Call) -> None:
    prefix, wins = _prefix(call.options.prefix), call.options.newest_wins
    answer = call.core.add(paths.TOKEN_RULES, SetToken(prefix=prefix, newest_wins=wins), Done)
    what = "takes its names from older tunnels of the account" if wins else "waits for its names to be free"
    call.terminal.show_done(answer.body, f"From now on a new tunnel with token {prefix} {what}.")


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
