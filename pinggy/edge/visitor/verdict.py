"""
Whether a request may go to the tunnel that it names: what the policy says before anything reaches the client.
"""

from __future__ import annotations

from pinggy.edge import answers
from pinggy.edge.exchange import Onward
from pinggy.http import credentials
from pinggy.http.answer import Answer
from pinggy.http.head import RequestHead
from pinggy.http.rewrite import Visit, request_for_server
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.policy import Policy


def admit(head: RequestHead, policy: Policy, visit: Visit, name: str, face: PublicFace) -> Onward | Answer:
    """
    The request as the local server of the tunnel *name* shall read it, or the answer instead. The whitelist is another
    question, asked before this one: who is not on it gets no answer at all.
    """
    if policy.https_only and not visit.secure:
        return answers.BY_TLS.having(("Location", _by_tls(head, name, face)))
    preflight = policy.pass_preflight and credentials.is_preflight(head)
    if not preflight and credentials.is_asked_for(policy) and not credentials.passes(head, policy):
        return answers.LOCKED.having(*credentials.challenges(policy, name))
    return Onward(head, request_for_server(head, policy, visit, preflight=preflight), policy, face.domain)


def _by_tls(head: RequestHead, name: str, face: PublicFace) -> str:
    """The same target by https: *name* is that of a live tunnel, the target has been read as printable ASCII."""
    port = "" if face.https_port == 443 else f":{face.https_port}"
    target = head.target if head.target != "*" else "/"
    return f"https://{face.host(name)}{port}{target}"
