"""
The zone's servers: what they list and what they answer, against the ledger.
"""

from __future__ import annotations

from pinggy.core.custodian import Custodian
from pinggy.core.doctor.findings import count, note, section, span, well, wrong
from pinggy.wire.doctor import Finding, Section
from pinggy.wire.operator import ZoneDifference, ZoneServer

_SHOWN = 3


class ZoneCheck:
    """With *custodian* None no servers are known here."""

    def __init__(self, domain: str, custodian: Custodian | None) -> None:
        self._domain = domain
        self._custodian = custodian

    async def look(self) -> Section:
        title = f"Zone {self._domain}"
        if self._custodian is None:
            return section(title, [note("zone", "The core's settings name no servers of the zone: it looks at none.")])
        report = await self._custodian.report(mend=False)
        answers = await self._custodian.answers.wrong()
        found: list[Finding] = []
        for server in report.servers:
            differ = [each for each in report.differences if each.url == server.url]
            found.append(_listed(server, differ))
            if server.trouble is None:
                found.append(_answered(server.url, answers.get(server.url, ())))
        return section(title, [*found, self._last_round()])

    def _last_round(self) -> Finding:
        assert self._custodian is not None
        last = self._custodian.last_round
        if last is None:
            return note("zone-compared", "The slow comparison has not come round yet since this core started.")
        ago, mended = last
        text = f"The slow comparison came round {span(ago)} ago"
        if mended:
            return note("zone-compared", f"{text} and put {count(mended, 'name')} right: the log has them.")
        return well("zone-compared", f"{text} and found nothing to put right.")


def _listed(server: ZoneServer, differ: list[ZoneDifference]) -> Finding:
    if server.trouble is not None:
        return wrong(
            "zone-server",
            f"{server.url} is not to be had: {server.trouble}",
            server.url,
            "Are the gate and PowerDNS up there, and is the key right?",
        )
    if not differ:
        return well("zone-server", f"{server.url} has what it should.", server.url)
    shown = "; ".join(
        f"{each.name} has {each.stands or 'nothing'} for {each.should or 'nothing'}" for each in differ[:_SHOWN]
    )
    more = f", and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
    return wrong(
        "zone-server",
        f"{server.url} differs: {shown}{more}.",
        server.url,
        "'pinggy zone check --mend' puts it right at once; the core does so by itself, too.",
    )


def _answered(url: str, troubles: tuple[str, ...] | list[str]) -> Finding:
    if not troubles:
        return well("zone-answers", f"{url} answers rightly for live names.", url)
    more = f" And {len(troubles) - 1} more." if len(troubles) > 1 else ""
    return wrong(
        "zone-answers",
        f"{url} lists what it should and answers otherwise: {troubles[0]}{more}",
        url,
        "The core publishes them there again by itself; where it comes back, look at that PowerDNS.",
    )
