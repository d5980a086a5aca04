"""
``pinggy key``: public keys that make a tunnel an account's without a token.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import short_time
from pinggy.wire import paths
from pinggy.wire.operator import AddKey, Key, Keys

_LONGEST_FILE = 64 * 1024
_START = "SHA256:"


def grow(tree: Tree) -> None:
    noun = tree.noun("key", "the public keys that make a tunnel its account's")
    verb = noun.verb(
        "add", add, "register the public keys of a file", "me ~/.ssh/id_ed25519.pub", "me - < authorized_keys"
    )
    verb.add_argument("account", metavar="ACCOUNT")
    verb.add_argument("file", metavar="FILE", help="one public key a line, as ssh-keygen writes them; - is stdin")
    verb = noun.verb("list", show, "list registered keys", "", "--account me")
    verb.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    verb = noun.verb("revoke", revoke, "take a key away", "SHA256:0fT3...")
    verb.add_argument("fingerprint", metavar="FINGERPRINT", help="as 'pinggy key list' or 'ssh-keygen -l' shows it")


def add(call: Call) -> None:
    for line in _lines(call.options.file):
        answer = call.core.add(paths.KEYS, AddKey(account=call.options.account, line=line), Key)
        key = answer.message
        call.terminal.show_done(
            answer.body, f"Key {key.comment} is registered for account {key.account}.", key.fingerprint
        )


def show(call: Call) -> None:
    answer = call.core.get(paths.KEYS, Keys, account=call.options.account)
    call.terminal.show_list(
        answer.body,
        ("FINGERPRINT", "ACCOUNT", "TYPE", "CREATED (UTC)", "COMMENT"),
        [
            (each.fingerprint, each.account, each.type, short_time(each.created), each.comment)
            for each in answer.message.keys
        ],
        "No keys are registered: add one with 'pinggy key add ACCOUNT FILE'.",
    )


def revoke(call: Call) -> None:
    fingerprint = _START + call.options.fingerprint.removeprefix(_START)
    body = call.core.take_away(paths.KEYS, fingerprint)
    call.terminal.show_done(body, f"Key {fingerprint} is taken away.")


def _lines(file: str) -> list[str]:
    """The keys of *file*, each one line; blank lines and comments are passed over."""
    shown = "stdin" if file == "-" else f"The file {file}"
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_LONGEST_FILE + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_LONGEST_FILE + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise CommandFailed(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise CommandFailed(f"{shown} does not hold public keys: it is not text.") from None
    if len(data) > _LONGEST_FILE:
        raise CommandFailed(f"{shown} is too long: {_LONGEST_FILE} bytes at the most.")
    if "PRIVATE KEY" in text:
        raise CommandFailed(f"{shown} is a private key, which never leaves its owner: give the file that ends in .pub.")
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise CommandFailed(f"{shown} holds no public key.")
    return keys
