"""
What is asked of Amazon, with boto3. Whatever goes wrong is a `Route53Away`.

To be imported only where it is used: boto3 takes half a second and 30 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pinggy.dns.route53.calls import HealthCheck, Route53Away
from pinggy.dns.route53.plan import OURS, Change, Record
from pinggy.tunnel.refusals import echo

T = TypeVar("T")
# Route 53 is one for the whole world.
_REGION = "us-east-1"
_CONNECTING, _READING, _TIMES = 3, 8, 3
# A health check asks every 10 seconds, and twice in vain means dead.
_INTERVAL, _IN_VAIN = 10, 2


class Boto:
    """With the credentials that boto3 finds; at *endpoint*, where that is not Amazon's own."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            config = Config(
                connect_timeout=_CONNECTING,
                read_timeout=_READING,
                retries={"mode": "standard", "total_max_attempts": _TIMES},
            )
            self._made = _told(
                lambda: boto3.session.Session().client(
                    "route53", region_name=_REGION, endpoint_url=self._endpoint, config=config
                )
            )
        return self._made

    def zone(self, zone: str) -> tuple[str, bool]:
        found = _told(lambda: self._client.get_hosted_zone(Id=zone))["HostedZone"]
        return _plain(found["Name"]), bool(found.get("Config", {}).get("PrivateZone", False))

    def records(self, zone: str, name: str) -> list[Record]:
        return _told(lambda: list(self._records(zone, name)))

    def _records(self, zone: str, name: str) -> Iterator[Record]:
        pages = self._client.get_paginator("list_resource_record_sets")
        for page in pages.paginate(HostedZoneId=zone, StartRecordName=name):
            for each in page["ResourceRecordSets"]:
                record = _record(each)
                # In the order of their labels from the right: what is below a name follows it.
                if record.name != name and not record.name.endswith(f".{name}"):
                    return
                yield record

    def change(self, zone: str, changes: Sequence[Change]) -> None:
        batch = [
            {
                "Action": "DELETE" if each.delete else "UPSERT",
                "ResourceRecordSet": _record_set(each.record, zone),
            }
            for each in changes
        ]
        _told(lambda: self._client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch}))

    def checks(self) -> list[HealthCheck]:
        return _told(lambda: list(self._checks()))

    def _checks(self) -> Iterator[HealthCheck]:
        for page in self._client.get_paginator("list_health_checks").paginate():
            for each in page["HealthChecks"]:
                config = each["HealthCheckConfig"]
                if each["CallerReference"].startswith(OURS.strip()) and config.get("Type") == "TCP":
                    yield HealthCheck(
                        id=each["Id"],
                        reference=each["CallerReference"],
                        address=_address(config.get("IPAddress", "")),
                        port=config.get("Port", 0),
                    )

    def make_check(self, reference: str, address: str, port: int) -> HealthCheck:
        config = {
            "Type": "TCP",
            "IPAddress": address,
            "Port": port,
            "RequestInterval": _INTERVAL,
            "FailureThreshold": _IN_VAIN,
        }
        made = _told(lambda: self._client.create_health_check(CallerReference=reference, HealthCheckConfig=config))
        return HealthCheck(id=made["HealthCheck"]["Id"], reference=reference, address=address, port=port)

    def drop_check(self, check: HealthCheck) -> None:
        _told(lambda: self._client.delete_health_check(HealthCheckId=check.id))


def _told(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise Route53Away(echo(" ".join(str(error).split())[:500])) from error


def _record(said: dict[str, Any]) -> Record:
    return Record(
        name=_plain(said["Name"]),
        type=said["Type"],
        identifier=said.get("SetIdentifier", ""),
        region=said.get("Region", ""),
        weight=said.get("Weight"),
        ttl=said.get("TTL"),
        values=tuple(_address(each["Value"]) for each in said.get("ResourceRecords", ())),
        alias=_plain(said["AliasTarget"]["DNSName"]) if "AliasTarget" in said else "",
        health_check=said.get("HealthCheckId", ""),
    )


def _record_set(record: Record, zone: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "Name": f"{record.name}.",
        "Type": record.type,
        "SetIdentifier": record.identifier,
    }
    if record.region:
        said["Region"] = record.region
    if record.weight is not None:
        said["Weight"] = record.weight
    if record.alias:
        said["AliasTarget"] = {"HostedZoneId": zone, "DNSName": f"{record.alias}.", "EvaluateTargetHealth": True}
    else:
        said["TTL"] = record.ttl
        said["ResourceRecords"] = [{"Value": each} for each in record.values]
    if record.health_check:
        said["HealthCheckId"] = record.health_check
    return said


def _address(text: str) -> str:
    """*text*, where it is an address, as we write it: Amazon may write IPv6 in full."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")
