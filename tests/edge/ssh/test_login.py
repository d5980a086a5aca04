from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.keys import Key

from pinggy.wire.operator import AddKey
from tests.support.edges import EdgeInMemory


def a_key() -> Key:
    return Key(ed25519.Ed25519PrivateKey.generate())


def test_anybody_is_let_in_without_a_password(edge: EdgeInMemory) -> None:
    pair = edge.join("alice")
    assert pair.logged_in
    assert pair.auth.asked == []


def test_auth_asks_for_a_password_and_takes_any(edge: EdgeInMemory) -> None:
    pair = edge.join("auth", password=b"whatever")
    assert pair.logged_in


def test_auth_asks_and_waits_for_the_answer(edge: EdgeInMemory) -> None:
    pair = edge.join("auth")
    assert not pair.logged_in
    assert not pair.is_over


def test_an_empty_answer_will_do(edge: EdgeInMemory) -> None:
    assert edge.join("auth", password=b"").logged_in


def test_key_identifies_the_account_without_a_token(edge: EdgeInMemory) -> None:
    key = a_key()
    edge.core.account("alice", names=("blog",))
    edge.core.operator.add_key(AddKey(account="alice", line=key.public().toString("OPENSSH").decode()))
    pair = edge.join("key", key=key)
    assert pair.logged_in
    pair.forward()
    assert pair.session().lines == ["http://blog.a.example", "https://blog.a.example"]


def test_key_refuses_keys_that_nobody_registered(edge: EdgeInMemory) -> None:
    pair = edge.join("key", key=a_key())
    assert not pair.logged_in
    assert "not registered" in pair.auth.banners[0]


def test_any_key_will_do_where_none_is_asked_for(edge: EdgeInMemory) -> None:
    # The password method is asked for by the user name, so the key is what must not be needed.
    assert edge.join("alice", key=a_key()).logged_in


def test_a_token_signs_in_its_account(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice", names=("blog",))
    pair = edge.join(token.reveal())
    pair.forward()
    assert pair.session().lines == ["http://blog.a.example", "https://blog.a.example"]


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("pgy-mistyped", "mistyped"),
        ("tcp+tls", "Two types"),
        ("alice+bogus", "'bogus'"),
        ("a" * 1000, "too long"),
    ],
)
def test_a_user_that_cannot_be_meant_is_turned_away_with_a_sentence(edge: EdgeInMemory, user: str, says: str) -> None:
    pair = edge.join(user)
    assert not pair.logged_in
    assert says in pair.auth.banners[0]
    assert pair.client.goodbye is not None
    assert says in pair.client.goodbye
    assert pair.is_over


def test_a_revoked_token_is_turned_away(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice").reveal()
    edge.core.operator.revoke_token(token[4:11])
    pair = edge.join(token)
    assert "revoked" in pair.auth.banners[0]
    assert token not in pair.auth.banners[0]


def test_a_token_cannot_sign_in_while_the_core_is_away(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice").reveal()
    edge.core.away = True
    pair = edge.join(token)
    assert not pair.logged_in
    assert "core does not answer" in pair.auth.banners[0]


def test_a_login_that_takes_too_long_ends(edge: EdgeInMemory) -> None:
    pair = edge.join("auth")
    pair.advance(29)
    assert not pair.is_over
    pair.advance(1)
    assert pair.is_over
    assert pair.client.goodbye == "No login within 30 seconds."


def test_a_client_that_leaves_while_the_core_is_asked_leaves_nothing(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice").reveal()
    edge.core.hold()
    pair = edge.join(token)
    pair.vanish()
    edge.core.let_go()
    assert not pair.logged_in
