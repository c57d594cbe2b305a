"""Token buckets: how many requests a key or an address may make.

A bucket refills at `rate` tokens a second up to `rate * burst_s`. Buckets are kept in a bounded
table; the least recently used go first, and a bucket that comes back starts full, so the bound
costs at most one burst. IPv6 callers share the bucket of their /64 network.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from functools import lru_cache

MOST_BUCKETS = 50_000


class RateLimiter:
    """One table of buckets; used from one thread (the event loop)."""

    __slots__ = ("_buckets", "capacity", "rate")

    def __init__(self, rate: float, burst_s: float) -> None:
        self.rate = rate
        self.capacity = max(1.0, rate * burst_s)
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()

    def take(self, who: str, cost: float = 1.0, now: float | None = None) -> float:
        """Take `cost` tokens; returns 0.0, or the seconds to wait when there are not enough."""
        if self.rate <= 0:
            return 0.0
        if now is None:
            now = time.monotonic()
        bucket = self._buckets.get(who)
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[who] = [self.capacity, now]
        else:
            self._buckets.move_to_end(who)
        tokens = min(self.capacity, bucket[0] + max(0.0, now - bucket[1]) * self.rate)
        bucket[1] = now
        if tokens < cost:
            bucket[0] = tokens
            return (cost - tokens) / self.rate
        bucket[0] = tokens - cost
        return 0.0

    def charge(self, who: str, cost: float, now: float | None = None) -> None:
        """Take `cost` tokens afterwards, into debt of at most one burst if need be."""
        if self.rate <= 0:
            return
        self.take(who, 0.0, now)
        bucket = self._buckets[who]
        bucket[0] = max(-self.capacity, bucket[0] - cost)


@lru_cache(maxsize=4096)
def address_bucket(address: str) -> str:
    """The bucket name of a client address: itself, or its /64 for IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


class ClientAddress:
    """Finds the caller's address behind trusted proxies (rightmost untrusted hop)."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]

    @property
    def looks(self) -> bool:
        """Whether any proxy is trusted, so that the header matters."""
        return bool(self._trusted)

    def of(self, peer: str, forwarded: bytes | None) -> str:
        """The address of a request from `peer` with this ``X-Forwarded-For`` (or None)."""
        if not self._trusted or forwarded is None or not self._is_trusted(peer):
            return peer
        hops = [hop.strip() for hop in forwarded.decode("latin-1").split(",")]
        for hop in reversed(hops):
            if not _is_address(hop):
                return peer
            if not self._is_trusted(hop):
                return hop
        return peer

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(
            parsed.version == network.version and parsed in network for network in self._trusted
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
