"""
The answer of an authoritative server to one query: pure, a message for a message.

RFC 1034 4.3.2 without zone cuts; negative answers by RFC 2308, wildcards by RFC 4592, aliases by RFC 6604.
"""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import BADVERS, FORMERR, NOTIMP, NXDOMAIN, REFUSED
from dns.rdataclass import IN
from dns.rdataset import Rdataset
from dns.rdatatype import ANY, AXFR, CNAME, IXFR, OPT, SOA, RdataType

from pinggy.dns.contents import NEGATIVE_TTL, Contents, Node

# The largest UDP message that no path on the internet splits (dnsflagday.net/2020), both ways, in bytes.
LARGEST_DATAGRAM = 1232
LONGEST_CHAIN = 16
_FIRST_META_TYPE, _LAST_META_TYPE = 128, 254


def answer(query: Message, zone: Contents) -> Message:
    """The reply to *query*, which has exactly one question, from what stands in *zone*."""
    # No padding: it is for encrypted transports (RFC 7830 4), elsewhere it only makes a reply larger.
    reply = dns.message.make_response(query, our_payload=LARGEST_DATAGRAM, pad=0)
    (question,) = query.question
    if query.edns > 0:
        reply.set_rcode(BADVERS)
    elif question.rdtype == OPT:
        reply.set_rcode(FORMERR)
    elif question.rdclass != IN or not question.name.is_subdomain(zone.origin) or question.rdtype in (AXFR, IXFR):
        reply.set_rcode(REFUSED)
    elif _FIRST_META_TYPE <= question.rdtype <= _LAST_META_TYPE:
        reply.set_rcode(NOTIMP)
    else:
        reply.flags |= dns.flags.AA
        _fill(reply, question.name, question.rdtype, zone)
    return reply


def _fill(reply: Message, name: Name, rdtype: RdataType, zone: Contents) -> None:
    """Follow the aliases from *name* inside the zone; what ends them decides the rcode (RFC 6604 3)."""
    for _ in range(LONGEST_CHAIN):
        node = zone.find(name)
        if node is None:
            reply.set_rcode(NXDOMAIN)
            _say_negative(reply, zone)
            return
        found = _choose(node, rdtype)
        if found is None:
            _say_negative(reply, zone)
            return
        _say(reply, name, found)
        if found.rdtype != CNAME or rdtype in (CNAME, ANY):
            return
        name = found[0].target
        # A name of elsewhere is for the resolver to follow, and one that was here already is a circle.
        if not name.is_subdomain(zone.origin) or any(each.name == name for each in reply.answer):
            return


def _choose(node: Node, rdtype: RdataType) -> Rdataset | None:
    """To ANY, one RRset is answer enough (RFC 8482 4.1): a question is never worth a flood."""
    if rdtype == ANY:
        return next((each for each in node.values() if each.rdtype != SOA), None)
    return node.get(rdtype) or node.get(CNAME)


def _say(reply: Message, name: Name, rdataset: Rdataset) -> None:
    reply.answer.append(dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset)))


def _say_negative(reply: Message, zone: Contents) -> None:
    """The SOA with the TTL that the negative answer has (RFC 2308 3)."""
    reply.authority.append(dns.rrset.from_rdata(zone.origin, NEGATIVE_TTL, zone.soa))
