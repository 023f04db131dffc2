"""Where a request comes from."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The peer; behind a proxy of ours the last address that it added, which a caller cannot choose.

    An IPv6 address is cut to its network of 64 bits, all of which one caller has.
    """
    found = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.headers.get("X-Forwarded-For", "")
    if forwarded and settings.SECURE_PROXY_SSL_HEADER:
        found = forwarded.rpartition(",")[2].strip()[:64]
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return found
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address.packed, 64), strict=False).network_address)
