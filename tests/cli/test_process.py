"""
The installed command as a process: pipes that break, signals, a full disk.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from pinggy.settings import Secret
from pinggy.wire import operator, paths
from tests.cli.fake_core import FakeCore

PINGGY = (str(Path(sys.executable).with_name("pinggy")),)


def start(state: Path, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen((*PINGGY, *words), cwd=state.parent, stdout=stdout, stderr=subprocess.PIPE)


def test_a_token_can_be_taken_into_a_variable(state: Path, core: FakeCore) -> None:
    answer = operator.NewToken(token=Secret("pgy-whole"), prefix="pre", account="me")
    core.answer("POST", paths.TOKENS, answer)
    script = 'TOKEN=$("$0" token add me 2>/dev/null) && printf "<%s>" "$TOKEN"'
    done = subprocess.run(("sh", "-c", script, *PINGGY), cwd=state.parent, capture_output=True, check=True)
    assert done.stdout == b"<pgy-whole>"


def test_a_broken_pipe_is_quiet(state: Path, core: FakeCore) -> None:
    rows = tuple(operator.Account(name=f"account-{number}", created="") for number in range(5000))
    core.answer("GET", paths.ACCOUNTS, operator.Accounts(accounts=rows))
    # argparse has its own way with help that nobody reads: success.
    for words, statuses in ((("account", "list"), {141}), (("--help",), {0, 141})):
        process = start(state, *words)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() in statuses


def test_a_full_disk_is_said(state: Path, core: FakeCore) -> None:
    core.answer("GET", paths.ACCOUNTS, operator.Accounts(accounts=(operator.Account(name="me", created=""),)))
    with open("/dev/full", "wb") as full:
        process = start(state, "account", "list", stdout=full.fileno())
        _, err = process.communicate()
    assert process.returncode == 1
    assert err == b"pinggy: The output cannot be written: No space left on device.\n"


def test_ctrl_c_is_quiet(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start(state, "account", "list", "--core", f"http://127.0.0.1:{silent.getsockname()[1]}")
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
