"""
A real browser without a window, spoken to over its DevTools protocol (https://chromedevtools.github.io/devtools-protocol).

Only what tests ask of it: pages are opened, looked at and questioned, and what they load and complain of is noted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket

from tests.support.visitors import PATIENCE

_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
# What a browser does of its own accord would stand among what its pages do. A test's service is found at loopback,
# whatever its name; where the tests run as root there is no sandbox.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP *.localhost 127.0.0.1",
    "--remote-debugging-port=0",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How a page is shown: *width* in CSS pixels, light or *dark*."""

    width: int = 1200
    height: int = 800
    dark: bool = False


@dataclass
class Tab:
    """
    One page. *requests* are the URLs that it has asked for, *statuses* what they were answered by URL, *connections*
    over which connection; *complaints* what stands in its console as an error.
    """

    browser: Browser
    session: str
    requests: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def show(self, looks: Looks) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=looks.width,
            height=looks.height,
            deviceScaleFactor=1,
            mobile=looks.width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if looks.dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Returns when the page and all that it loads are there."""
        self.call("Page.navigate", url=url)
        self.browser.until(self, "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What *expression* of JavaScript is, awaited."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def picture(self) -> bytes:
        """A PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, parameters, self.session)

    def happened(self, method: str, said: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            case "Network.responseReceived":
                response = said["response"]
                self.statuses[response["url"]] = response["status"]
                self.connections[response["url"]] = response["connectionId"]
            case "Log.entryAdded" if said["entry"]["level"] == "error":
                self.complaints.append(said["entry"]["text"])
            case "Runtime.consoleAPICalled" if said["type"] == "error":
                self.complaints.append(str(said["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(said["exceptionDetails"]))


class Browser:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._calls = 0
        self._tabs: dict[str, Tab] = {}

    def tab(self, looks: Looks | None = None) -> Tab:
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Log", "Runtime"):
            tab.call(f"{domain}.enable")
        # Without the bodies of requests: to be told those takes longer than to send them.
        tab.call("Network.enable", maxPostDataSize=0)
        tab.show(looks or Looks())
        return tab

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._calls += 1
        number = self._calls
        said = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(said if session is None else {**said, "sessionId": session}))
        while (answer := self._heard()).get("id") != number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def until(self, tab: Tab, method: str) -> None:
        while True:
            said = self._heard()
            if said.get("method") == method and said.get("sessionId") == tab.session:
                return

    def _heard(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._connection.recv(PATIENCE))
        tab = self._tabs.get(said.get("sessionId", ""))
        if tab is not None and "method" in said:
            tab.happened(said["method"], said["params"])
        return said


@contextmanager
def chromium(*trusted: Path) -> Iterator[Browser]:
    """
    *trusted* are files of certificates that it takes for well issued, whoever issued them. It shares a connection
    between hosts of such a one, which it does not with a certificate whose errors are merely passed over.
    """
    keys = ",".join(_digest_of_key(each) for each in trusted)
    program = shutil.which("chromium-headless-shell")
    assert program is not None, "tests/support/install-programs installs it"
    with (
        tempfile.TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [program, *_OPTIONS, f"--ignore-certificate-errors-spki-list={keys}", f"--user-data-dir={folder}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # Debian's program is a script that starts it: both are ended as one group.
            start_new_session=True,
        ) as process,
    ):
        try:
            assert process.stderr is not None
            with websocket(_address(process.stderr), max_size=None, proxy=None) as connection:
                yield Browser(connection)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _digest_of_key(certificate: Path) -> str:
    key = load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()


def _address(stderr: Iterator[str]) -> str:
    for line in stderr:
        found = _LISTENING.search(line)
        if found is not None:
            return found[1]
    raise AssertionError("Chromium has ended before it listened.")
