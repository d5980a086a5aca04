from __future__ import annotations

from pathlib import Path

import pytest

from pinggy.cli.access import find_access, parse_url
from pinggy.cli.failure import CommandFailed


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://127.0.0.1:7070", (False, "127.0.0.1", 7070)),
        ("http://127.9.9.9:1/", (False, "127.9.9.9", 1)),
        ("http://localhost", (False, "localhost", 80)),
        ("http://[::1]:7070", (False, "::1", 7070)),
        ("https://core.example", (True, "core.example", 443)),
        ("https://192.0.2.1:8443", (True, "192.0.2.1", 8443)),
    ],
)
def test_urls(url: str, parts: tuple[bool, str, int]) -> None:
    assert parse_url(url) == parts


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://192.0.2.1:7070", "in the clear"),
        ("http://core.example", "in the clear"),
        ("http://localhost.example", "in the clear"),
        ("http://127.0.0.1.example", "in the clear"),
        ("ftp://127.0.0.1", "not one of http or https"),
        ("127.0.0.1:7070", "not one of http or https"),
        ("", "not one of http or https"),
        ("http://127.0.0.1:99999", "not a URL"),
        ("http://127.0.0.1:x", "not a URL"),
        ("http://[::1", "not a URL"),
        ("https://core.example/path", "more than a host"),
        ("https://core.example/?a", "more than a host"),
        ("https://me:secret@core.example", "more than a host"),
    ],
)
def test_urls_that_are_refused(url: str, why: str) -> None:
    with pytest.raises(CommandFailed, match=why):
        parse_url(url)


def test_options_win_over_the_environment_and_that_over_the_state(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write(state, "core.url", "http://127.0.0.1:1\n")
    write(state, "operator.key", "key-of-the-state\n")
    of_environment = write(tmp_path, "environment.key", "key-of-the-environment")
    of_option = write(tmp_path, "option.key", "key-of-the-option")
    environment = {"PINGGY_STATE": str(state)}
    access = find_access(environment)
    assert (access.url, access.key.reveal()) == ("http://127.0.0.1:1", "key-of-the-state")
    environment |= {"PINGGY_CORE": "http://127.0.0.1:2", "PINGGY_KEY_FILE": str(of_environment)}
    access = find_access(environment)
    assert (access.url, access.key.reveal()) == ("http://127.0.0.1:2", "key-of-the-environment")
    access = find_access(environment, core="http://[::1]:3", key_file=str(of_option))
    assert (access.url, access.key.reveal()) == ("http://[::1]:3", "key-of-the-option")
    assert "key-of" not in repr(access)


def test_without_a_url_file_it_is_the_default(tmp_path: Path) -> None:
    write(tmp_path, "operator.key", "key")
    assert find_access({}, state=str(tmp_path)).url == "http://127.0.0.1:7070"


@pytest.mark.parametrize("text", ["", "  \n", "two words", "line\nline", "umläut", "bell\x07"])
def test_a_file_without_a_key_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "operator.key", text)
    with pytest.raises(CommandFailed, match=str(path)):
        find_access({}, state=str(tmp_path))


def test_no_key_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=f"{tmp_path}/operator.key.*--state.*--key-file"):
        find_access({}, state=str(tmp_path))
    (tmp_path / "operator.key").mkdir()
    with pytest.raises(CommandFailed, match="cannot be read: Is a directory"):
        find_access({}, state=str(tmp_path))
