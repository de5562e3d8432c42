"""Which machine a webhook's address leads to, and whether it may be reached.

Who chooses the address must not make us knock at doors within our own network. The name is looked up once, every
address that it has must be public (or of a network that the settings allow), and the connection goes to one that was
looked at: a name that answers otherwise the next time changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from libs.events.effects import NotSent

LOOK_UP_WITHIN_S = 5.0
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
PORTS = {"http": 80, "https": 443}
ADDRESSES_TRIED_MAX = 4
_UNICAST = ip_network("2000::/3")
_TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))  # an IPv4 address in them may be of a network of ours


async def reachable(url: httpx.URL, allowed: Sequence[Network]) -> list[str]:
    """The addresses to connect to, the best first; raises NotSent where there is none, or none for us to reach."""
    found = await _looked_up(url)
    inner = [each for each in found if not is_public(each)]
    for each in inner:
        if not any(each in network for network in allowed):
            raise NotSent(
                f"{url.host} leads to {each}, which is not public: choose another address, or let the operators "
                "allow its network (BATON_WEBHOOK_NETWORKS)",
                final=True,
            )
    if url.scheme != "https" and len(inner) < len(found):
        raise NotSent(f"{url.scheme} reaches only networks of our own; choose https for {url.host}", final=True)
    return [str(each) for each in found[:ADDRESSES_TRIED_MAX]]


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach it as well."""
    if isinstance(address, IPv6Address):
        return address.is_global and address in _UNICAST and not any(address in tunnel for tunnel in _TUNNELS)
    return address.is_global and not address.is_multicast


async def _looked_up(url: httpx.URL) -> list[Address]:
    port = url.port or PORTS[url.scheme]
    try:
        async with asyncio.timeout(LOOK_UP_WITHIN_S):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise NotSent(f"{url.host} has no address: {error}") from error
    return list(dict.fromkeys(_plain(str(sockaddr[0])) for *_, sockaddr in found))


def _plain(text: str) -> Address:
    """Without a zone, and an IPv4 address within an IPv6 one as what it is."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
