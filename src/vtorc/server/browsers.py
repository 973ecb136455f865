"""Which requests of a browser come from pages of others, or under a name that is not this server's."""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

OWN_SITES = ("same-origin", "none")
"""Values of Sec-Fetch-Site of our own pages, and of what an operator typed."""

_SIGNS = ("sec-fetch-site", "sec-fetch-mode", "origin", "referer", "accept-language")
"""Headers that browsers send and other programs rarely do."""


def foreign_host(headers: Mapping[str, str], allowed: Collection[str]) -> str | None:
    """Return the host that a browser asked for if it is another than this server's; None for all other requests.

    A page of others can let its own name stand for our address, and would count as our own page then.
    """
    if not is_browser(headers):
        return None
    host = _host_of(f"//{headers.get('host', '')}")
    return None if _is_own(host, allowed) else host


def foreign_page(headers: Mapping[str, str], allowed: Collection[str]) -> str | None:
    """Return what is known of the page of others that sent the request; None if none did."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in OWN_SITES:
        return headers.get("origin", f"a {site} origin")
    for name in ("origin", "referer"):
        page = headers.get(name)
        if page is not None and not _is_same(page, headers.get("host", ""), allowed):
            return page
    return None


def is_browser(headers: Mapping[str, str]) -> bool:
    """Return whether a browser sent the request."""
    return "mozilla" in headers.get("user-agent", "").lower() or any(sign in headers for sign in _SIGNS)


def _is_same(page: str, host: str, allowed: Collection[str]) -> bool:
    try:
        return urlsplit(page).netloc.lower() == host.lower() or _host_of(page) in allowed
    except ValueError:
        return False


def _is_own(host: str, allowed: Collection[str]) -> bool:
    if host == "localhost" or host.endswith(".localhost") or host in allowed:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
