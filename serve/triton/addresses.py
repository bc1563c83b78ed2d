"""Which gRPC addresses are this machine's."""

from __future__ import annotations

import ipaddress
import socket


def is_local(address: str) -> bool:
    """Whether a server at this gRPC address can only be on this machine, or seems to be."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition("/")[2].rpartition(":")[0].strip("[]")
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in ("localhost", socket.gethostname().lower())
    return found.is_loopback or found.is_unspecified
