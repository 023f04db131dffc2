"""Which addresses are called at all: the rules of `runners.outbound`, which look nothing up."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Services that a cloud offers to its machines on addresses that count as public.
_METADATA = (ipaddress.ip_network("168.63.129.16/32"), ipaddress.ip_network("192.0.0.192/32"))
#: An IPv4 address travels inside these: NAT64 (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: The interface half of an ISATAP address, before its IPv4 address (RFC 5214).
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
#: Below it live mail, shells and files; 443 is the one well-known port that a web service has.
FIRST_FREE_PORT = 1024
_LAST_PORT = 65535
#: A host whose last part is a number in any base means an IPv4 address, however it is written.
_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")


def networks(allow: Iterable[str]) -> tuple[Network, ...]:
    """The networks that `allow` lists. Raises ValueError for what is none."""
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in allow if text.strip())


def ip_problem(address: Address, allowed: tuple[Network, ...] = ()) -> str | None:
    """Why this address may not be dialled, or None."""
    if within(address, allowed):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        for inner in _inside(address):
            if ip_problem(inner) is not None:
                return f"{address} stands for {inner}, which is not a public address"
    reserved = address.is_reserved and not (isinstance(address, ipaddress.IPv6Address) and address in _NAT64)
    public = address.is_global and not (reserved or address.is_multicast or address.is_link_local)
    if not public or getattr(address, "is_site_local", False) or within(address, _METADATA):
        return f"{address} is not a public address"
    return None


def _inside(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """IPv4 addresses that travel inside an IPv6 address: a gateway on the way may turn to them."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    last, before = int(address) & 0xFFFF_FFFF, (int(address) >> 32) & 0xFFFF_FFFF
    if address in _NAT64 or before in _ISATAP:
        found.append(ipaddress.IPv4Address(last))
    return [inner for inner in found if inner is not None]


def within(address: Address, among: tuple[Network, ...]) -> bool:
    """Whether an address is in one of the networks."""
    return any(address.version == network.version and address in network for network in among)


def url_problem(url: httpx.URL, allowed: tuple[Network, ...]) -> str | None:
    """What is wrong with a URL before any name is looked up, or None."""
    address = literal(url.host)
    if url.scheme not in ("https", "http"):
        return "it must begin with https://"
    if not url.host:
        return "it names no host"
    if url.userinfo:
        return "it holds a user name or password; register a credential instead"
    if url.fragment:
        return "it has a part after #, which is never sent"
    if address is None and _NUMERIC.fullmatch(url.host.rstrip(".").rpartition(".")[2]):
        return f"{url.host} is an address in a form that is not accepted; write four decimal numbers"
    inside = address is not None and within(address, allowed)
    if address is not None and (problem := ip_problem(address, allowed)):
        return problem
    if url.scheme == "http" and not (inside or (address is None and allowed)):
        return "it must begin with https://"
    if url.port is not None and url.port > _LAST_PORT:  # the system would dial what is left of it in 16 bits
        return f"there is no port {url.port}"
    if url.port is not None and url.port != 443 and url.port < FIRST_FREE_PORT and not allowed:
        return f"port {url.port} is not accepted; use 443, or one from {FIRST_FREE_PORT} on"
    return None


def literal(host: str) -> Address | None:
    """The address that a host is; None where it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
