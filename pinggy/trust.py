"""
Whom a TLS client of ours believes: the system's authorities, or one that a setting names.
"""

from __future__ import annotations

from pathlib import Path

from OpenSSL import crypto
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS

from pinggy.settings import SettingsError


def trust(ca: Path | None) -> BrowserLikePolicyForHTTPS:
    """
    The policy of an HTTP client that checks certificates by the authority in the file *ca* (PEM), or by the system's.

    Raises `SettingsError` where the file is of no use.
    """
    if ca is None:
        return BrowserLikePolicyForHTTPS()
    try:
        authority = Certificate.loadPEM(ca.read_bytes())
    except OSError as error:
        raise SettingsError(f"The setting ca = {ca} cannot be read: {error.strerror}.") from error
    except crypto.Error as error:
        raise SettingsError(f"The setting ca = {ca} is no certificate in PEM.") from error
    return BrowserLikePolicyForHTTPS(trustRoot=trustRootFromCertificates([authority]))
