"""
Public keys are known by the fingerprint that ssh-keygen prints.
"""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.core.operator import read_key
from pinggy.tunnel.refusals import MalformedMessage


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_fingerprint_is_ssh_keygens(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "ann @ home", "-f", path], check=True)
    said = subprocess.run(
        ["ssh-keygen", "-l", "-E", "sha256", "-f", path], check=True, capture_output=True, text=True
    ).stdout
    fingerprint, found, comment = read_key(path.with_suffix(".pub").read_text())
    assert said.split()[1] == fingerprint
    assert kind in found
    assert comment == "ann @ home"


ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 nonsense",
        f"ssh-rsa {ED25519}",
        f"ssh-ed25519 {ED25519[:-4]}",
        f"ssh-ed25519 {ED25519}\nssh-ed25519 {ED25519}",
        f"ssh-ed25519 {ED25519} " + "x" * 201,
        f"ssh-ed25519 {ED25519} a\0b",
        "ssh-ed25519 " + "A" * 100_000,
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_public_key_is_refused(line: str) -> None:
    with pytest.raises(MalformedMessage):
        read_key(line)


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_worse(blob: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_key("ssh-ed25519 " + base64.b64encode(blob).decode())
