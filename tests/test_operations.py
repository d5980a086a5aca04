"""
docs/operations.rst explains every line that the daemons log, and shows no command that there is not.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from pinggy.cli.arguments import Tree
from pinggy.cli.main import NOUNS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "operations.rst").read_text()
LEVELS = ("info", "warn", "error")
# The text of an exception alone: explained by what it is about.
BARE = {"{error}"}


def logged() -> Iterator[tuple[str, str]]:
    """File and text of every line of the levels info to error."""
    for path in sorted((ROOT / "pinggy").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=level, value=logger), args=[ast.Constant(value=str(text)), *_]
                ) if level in LEVELS and ast.unparse(logger).endswith("log"):
                    yield path.name, text


def test_every_line_that_is_logged_is_explained() -> None:
    lines = list(logged())
    assert len(lines) > 20
    unexplained = [(file, text) for file, text in lines if text not in BARE and f"``{text}``\n    " not in TEXT]
    assert unexplained == [], "say in docs/operations.rst, section Logs, what it means and what to do"


def test_every_line_that_is_explained_is_logged() -> None:
    texts = {text for _, text in logged()}
    section = TEXT[TEXT.index("What the lines say") : TEXT.index("Every line of the level ``critical``")]
    explained = re.findall(r"(?m)^``(.*)``\n    ", section)
    assert len(explained) > 20
    assert [text for text in explained if text not in texts] == []


def commands() -> list[str]:
    """What the blocks type of the operator's command, each as one line."""
    blocks = re.findall(r"(?m)^(?:    .*\n|\n)+", TEXT)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [each for line in lines for each in re.findall(r"(?:^\s*|\$\()(pinggy [a-z][^|;>)]*)", line)]


def test_every_command_is_understood() -> None:
    tree = Tree()
    for noun in NOUNS:
        noun.grow(tree)
    found = commands()
    assert len(found) >= 10
    for command in found:
        # Addresses and names of the example, as the shell would put them in.
        said = re.sub(r"\$PINGGY_CORE", "https://ns1.a.example.com:7443", command).replace("$DOMAIN", "a.example.com")
        words = shlex.split(re.sub(r"\$[AB]\b", "192.0.2.1", said), comments=True)
        assert tree.parser.parse_args(words[1:]), command


def test_every_setting_that_the_blocks_write_is_one() -> None:
    files = "".join(path.read_text() for path in (ROOT / "etc").glob("*.toml"))
    for block in re.findall(r"<<END\n((?:    .*\n|\n)+?)    END\n", TEXT):
        for key in re.findall(r"(?m)^    ([a-z_]+) = ", block):
            assert re.search(rf"(?m)^(?:#:? )?{key} = ", files), key
