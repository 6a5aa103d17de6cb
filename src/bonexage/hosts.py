"""Addresses and names of machines, as a configuration or an option writes them."""

from __future__ import annotations

import ipaddress
from typing import Final

_MOST_CHARACTERS: Final = 253


def is_host(text: str) -> bool:
    """Whether a text can be the name or address of a machine; nothing is looked up."""
    if not text.isprintable() or any(map(str.isspace, text)) or not 0 < len(text) <= _MOST_CHARACTERS:
        return False
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, seen from itself alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
