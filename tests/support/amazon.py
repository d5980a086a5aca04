"""
Route 53's test double, as a server on loopback: it takes much that Amazon refuses.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from pinggy.dns.route53.aws import Boto
from pinggy.dns.route53.plan import Entry


class Amazon:
    """One hosted zone ``example.com`` that is as new."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client: Any = boto3.client("route53", endpoint_url=endpoint, region_name="us-east-1")
        self.zone = self.make_zone("example.com")

    def make_zone(self, name: str, **config: Any) -> str:
        made = self.client.create_hosted_zone(Name=name, CallerReference=f"{name} {id(self)}", **config)
        return str(made["HostedZone"]["Id"].rpartition("/")[2])

    def entry(self, name: str = "go.example.com", **changes: Any) -> Entry:
        return Entry(**{"name": name, "zone": self.zone, "port": 443, "ttl": 10, **changes})

    def api(self) -> Boto:
        return Boto(self.endpoint)

    def put(self, name: str, kind: str, value: str, **more: Any) -> None:
        """Behind our back."""
        records = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}], **more}
        change = {"Action": "UPSERT", "ResourceRecordSet": records}
        self.client.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": [change]})

    def answers(self, name: str = "go.example.com") -> dict[tuple[str, str], set[str]]:
        """The addresses that each region of Amazon's is led to, by region and type: as Route 53 would go from alias."""
        listed = self.client.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        found: dict[tuple[str, str], set[str]] = {}
        for each in listed:
            if each["Name"] == f"{name}." and "AliasTarget" in each:
                target = each["AliasTarget"]["DNSName"].removesuffix(".") + "."
                found[each["Region"], each["Type"]] = {
                    record["ResourceRecords"][0]["Value"]
                    for record in listed
                    if record["Name"] == target and record["Type"] == each["Type"]
                }
        return found

    def names(self) -> set[tuple[str, str]]:
        listed = self.client.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return {(each["Name"], each["Type"]) for each in listed} - {("example.com.", "NS"), ("example.com.", "SOA")}

    def checks(self) -> dict[tuple[str, int], str]:
        """Ids of the health checks, by address and port."""
        found = self.client.list_health_checks()["HealthChecks"]
        configs = {each["Id"]: each["HealthCheckConfig"] for each in found}
        return {(config["IPAddress"], config["Port"]): id_ for id_, config in configs.items()}

    def clear(self) -> None:
        for check in self.checks().values():
            self.client.delete_health_check(HealthCheckId=check)


@pytest.fixture(scope="session")
def amazon_of_session() -> Iterator[str]:
    """Its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_ACCESS_KEY_ID", "nobody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def amazon(amazon_of_session: str) -> Iterator[Amazon]:
    amazon = Amazon(amazon_of_session)
    yield amazon
    amazon.clear()
