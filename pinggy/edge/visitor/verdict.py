"""
Whether a request may go to the tunnel that it names: what the policy says before anything reaches the client.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from pinggy.edge import answers
from pinggy.edge.exchange import Onward
from pinggy.edge.limits import counted_as
from pinggy.edge.tunnels import LiveForwarding
from pinggy.http import credentials
from pinggy.http.answer import Answer
from pinggy.http.head import RequestHead
from pinggy.http.rewrite import Visit, request_for_server
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.policy import Policy


def admit(
    head: RequestHead,
    policy: Policy,
    visit: Visit,
    live: LiveForwarding,
    face: PublicFace,
    clock: IReactorTime,
    *,
    again: bool = False,
) -> Onward | Answer:
    """
    The request as the local server of *live* shall read it, or the answer instead. The whitelist is another question,
    asked before this one: who is not on it gets no answer at all. One that is asked *again*, after it was let through,
    does not count as another request.
    """
    if policy.https_only and not visit.secure:
        return answers.BY_TLS.having(("Location", _by_tls(head, live.forwarding.name, face)))
    if policy.rate is not None and not again:
        wait = live.tunnel.throttle.request(policy.rate, counted_as(visit.address), clock.seconds())
        if wait:
            return answers.too_fast(wait)
    preflight = policy.pass_preflight and credentials.is_preflight(head)
    if not preflight and credentials.is_asked_for(policy):
        locked = _locked(head, policy, visit, live, clock)
        if locked is not None:
            return locked
    if policy.limit is not None and isinstance(head.framing, int) and head.framing > policy.limit:
        return answers.too_large(policy.limit)
    return Onward(head, request_for_server(head, policy, visit, preflight=preflight), policy, face.domain)


def _locked(
    head: RequestHead, policy: Policy, visit: Visit, live: LiveForwarding, clock: IReactorTime
) -> Answer | None:
    """What is said to whoever has not brought a password or key that fits; or, has guessed too often."""
    if credentials.is_try(head):
        throttle, visitor, now = live.tunnel.throttle, counted_as(visit.address), clock.seconds()
        wait = throttle.try_of(visitor, now)
        if wait:
            return answers.too_many_tries(wait)
        if credentials.passes(head, policy):
            return None
        throttle.wrong_try(visitor, now)
    return answers.LOCKED.having(*credentials.challenges(policy, live.forwarding.name))


def _by_tls(head: RequestHead, name: str, face: PublicFace) -> str:
    """The same target by https: *name* is that of a live tunnel, the target has been read as printable ASCII."""
    port = "" if face.https_port == 443 else f":{face.https_port}"
    target = head.target if head.target != "*" else "/"
    return f"https://{face.host(name)}{port}{target}"
