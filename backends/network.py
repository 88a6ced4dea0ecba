"""What the environment says about connections: proxies and certificates, checked where a client is built."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from backends.base import BadTeacherConfig

if TYPE_CHECKING:
    import ssl

__all__ = ["client_options", "proxy_for"]

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def proxy_for(url: str) -> str | None:
    """The URL of the HTTP proxy that the environment names for `url`; None when there is none, NO_PROXY covers the
    host, or the host is this machine.

    Raises BadTeacherConfig, which names the variable, for a proxy that can't be used."""
    parts = urlsplit(url)
    if not parts.hostname or _is_loopback(parts.hostname) or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    scheme = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if scheme is None:
        return None
    stated = proxies[scheme]
    proxy = stated if "://" in stated else f"http://{stated}"
    try:
        found = urlsplit(proxy)
        usable = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        usable = False
    if not usable:  # the value is not shown: it may hold a password
        kind = proxy.partition("://")[0][:20]
        raise BadTeacherConfig(
            f"The proxy in {_variable(scheme)} can't be used ({kind}://...): only http:// and https:// proxies can.",
            f"Change {_variable(scheme)}, or add {parts.hostname} to NO_PROXY.",
        )
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def client_options(url: str) -> dict[str, Any]:
    """Arguments for an httpx2 client that connects to `url` only: its proxy and certificates from the environment.

    Raises BadTeacherConfig, which names the variable, for a setting of the environment that can't be used."""
    return {"trust_env": False, "proxy": proxy_for(url), "verify": _certificates()}


def _certificates() -> ssl.SSLContext:
    import httpx2

    try:
        return httpx2.create_ssl_context(trust_env=True)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        named = [name for name in _CERTIFICATES if os.environ.get(name)]
        raise BadTeacherConfig(
            f"The certificates in {' or '.join(named) or 'the system'} can't be read: {error}.",
            "Correct the path, or unset the variable.",
        ) from None


def _variable(scheme: str) -> str:
    """The variable that names the proxy; lower case wins, as in urllib."""
    name = f"{scheme}_proxy"
    return name if os.environ.get(name) else name.upper()
