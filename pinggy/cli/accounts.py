"""
``pinggy account``: who may have names and ports of their own.
"""

from __future__ import annotations

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.tables import short_time
from pinggy.wire import paths
from pinggy.wire.operator import Account, Accounts, AddAccount


def grow(tree: Tree) -> None:
    noun = tree.noun("account", "who may have names and ports of their own")
    noun.verb("add", add, "add an account", "me").add_argument("name", metavar="NAME")
    noun.verb("list", show, "list all accounts", "", "--json")


def add(call: Call) -> None:
    answer = call.core.add(paths.ACCOUNTS, AddAccount(name=call.options.name), Account)
    name = answer.message.name
    call.terminal.show_done(answer.body, f"Account {name} added. Next: pinggy token add {name}")


def show(call: Call) -> None:
    answer = call.core.get(paths.ACCOUNTS, Accounts)
    call.terminal.show_list(
        answer.body,
        ("ACCOUNT", "TOKENS", "NAMES", "TUNNELS", "CREATED (UTC)"),
        [
            (each.name, each.tokens, each.names, each.tunnels, short_time(each.created))
            for each in answer.message.accounts
        ],
        "There are no accounts yet: add one with 'pinggy account add NAME'.",
    )
