"""
Where an edge is, as the operator says it: degrees on the earth, and the region of Amazon's that is near.
"""

from __future__ import annotations

from pinggy.dns.route53.regions import LATENCY_REGIONS
from pinggy.tunnel.refusals import MalformedMessage, echo
from pinggy.wire import operator


def check_place(edge: operator.AddEdge | operator.PlaceEdge) -> None:
    """Raises `MalformedMessage` where *edge* cannot be there."""
    if (edge.latitude is None) is not (edge.longitude is None):
        raise MalformedMessage("Where an edge is takes both: its latitude and its longitude.")
    # What is no number is in no range.
    if not (_within(edge.latitude, 90) and _within(edge.longitude, 180)):
        raise MalformedMessage("An edge's latitude is -90 to 90 degrees north, its longitude -180 to 180 east.")
    if edge.aws_region and edge.aws_region not in LATENCY_REGIONS:
        raise MalformedMessage(f"Route 53 knows no region {echo(edge.aws_region)}: give one such as eu-west-1.")


def _within(degrees: float | None, most: float) -> bool:
    return degrees is None or -most <= degrees <= most
