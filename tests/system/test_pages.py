"""
The pages of the edge in a real browser: whole, readable at every width and in light and dark, and without requests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chromium import Browser, Looks, Tab, chromium
from tests.support.openssh import ssh
from tests.support.public import curl
from tests.support.service import Service

LOOKS = [Looks(width=width, dark=dark) for width in (360, 1200) for dark in (False, True)]

# The least contrast between a text and what lies behind it (WCAG 2.2, 1.4.3).
LEAST_CONTRAST = """(() => {
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const luminance = colour => {
    const [r, g, b] = parts(colour).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    while (parts(getComputedStyle(element).backgroundColor)[3] === 0) element = element.parentElement;
    return luminance(getComputedStyle(element).backgroundColor);
  };
  const texts = [...document.querySelectorAll("body *")].filter(
    element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map(element => {
    const pair = [luminance(getComputedStyle(element).color), behind(element)];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  }));
})()"""


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    with chromium(service.certificate) as running:
        yield running


def complaints(tab: Tab, status: int) -> list[str]:
    """But for the one that every page has whose status is an error."""
    usual = f"Failed to load resource: the server responded with a status of {status} "
    return [each for each in tab.complaints if not each.startswith(usual)]


@pytest.mark.parametrize("looks", LOOKS, ids=str)
def test_a_page_is_readable_and_loads_nothing(service: Service, browser: Browser, looks: Looks) -> None:
    url = f"http://nobody-has-this.a.localhost:{service.http_port}/some/path?and=query"
    tab = browser.tab(looks)
    tab.open(url)
    assert tab.statuses == {url: 404}
    assert tab.requests == [url]
    assert complaints(tab, 404) == []
    assert tab.value("document.title") == "404 No tunnel here"
    assert "No tunnel has this name at the moment." in tab.value("document.body.innerText")
    assert "some/path" not in tab.value("document.documentElement.outerHTML")
    # Its style is in force, none of it is off the screen, and all of it can be read.
    assert tab.value("getComputedStyle(document.body).display") == "flex"
    assert tab.value("document.documentElement.scrollWidth") == looks.width
    assert tab.value("matchMedia('(prefers-color-scheme: dark)').matches") is looks.dark
    assert tab.value(LEAST_CONTRAST) >= 4.5


def test_a_tunnel_without_a_local_server_says_so_by_https_too(service: Service, browser: Browser) -> None:
    with ssh(service, "-T", "-R0:localhost:1") as client:
        url = f"{client.url('https')}/"
        tab = browser.tab()
        tab.open(url)
        assert tab.statuses == {url: 502}
        assert tab.requests == [url]
        assert complaints(tab, 502) == []
        assert tab.value("document.title") == "502 The local server refused"
        assert "the local server behind it refused the connection." in tab.value("document.body.innerText")
        assert tab.value("document.querySelector('.stop').innerText").startswith("Local server")
        assert curl(service, url).stdout.startswith(b"This tunnel is up, but the local server behind it refused ")
